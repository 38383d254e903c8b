"""A preview from its request to its variant: read, check, find the picture, make it."""

from __future__ import annotations

from collections.abc import Mapping

from imagesystem.ids import parse_image_id
from imagesystem.originals import Originals

from augmentation_service import bodies, forms, requests
from augmentation_service.bodies import Receive, Spool
from augmentation_service.forms import Limits
from augmentation_service.previews import Previews
from augmentation_service.rendering import Job, Rendered
from augmentation_service.requests import Preview
from augmentation_service.settings import Settings

__all__ = ["Studio"]

#: Boundaries and headers of a form's parts, which are nobody's content.
FORM_OVERHEAD = 256 * 1024


class Studio:
    """What the preview route calls."""

    def __init__(self, originals: Originals, previews: Previews, settings: Settings) -> None:
        self._originals = originals
        self._previews = previews
        self._settings = settings
        self._limits = Limits(
            max_upload_bytes=settings.max_upload_bytes,
            max_request_bytes=settings.max_request_bytes,
        )

    async def of_image(self, receive: Receive, headers: Mapping[str, str]) -> Rendered:
        """Make a variant of an image that was uploaded before; the body is JSON.

        Raises `Rejected`: 400 (what `requests` raises, `malformed_image_id`), 404, 408, 410,
        413, 415, and what `Previews.make` raises.
        """
        allowed = self._limits.max_request_bytes
        bodies.check_headers(headers, "MAX_REQUEST_BYTES", allowed)
        pieces = bodies.read(receive, "MAX_REQUEST_BYTES", allowed, self._settings.idle_timeout_s)
        preview = requests.from_json(b"".join([piece async for piece in pieces]))
        image_id = parse_image_id(preview.image_id)
        original = await self._originals.find(image_id)
        job = self._job(preview, original.sha256)
        return await self._previews.make(lambda: self._originals.whole(original), job)

    async def of_upload(
        self, receive: Receive, headers: Mapping[str, str], boundary: str
    ) -> Rendered:
        """Make a variant of the picture in a form; nothing of it is kept.

        Raises `Rejected`: what `forms.read`, `requests` and `Previews.make` raise, 408, 413, 415.
        """
        allowed = self._limits.max_upload_bytes
        overhead = self._limits.max_request_bytes + FORM_OVERHEAD
        bodies.check_headers(headers, "MAX_UPLOAD_BYTES", allowed, overhead)
        body = bodies.read(
            receive, "MAX_UPLOAD_BYTES", allowed + overhead, self._settings.idle_timeout_s
        )
        with Spool() as spool:
            fields = await forms.read(body, boundary, spool, self._limits)
            job = self._job(requests.from_form(fields), spool.sha256)
            return await self._previews.make(spool.read, job)

    def _job(self, preview: Preview, source: str) -> Job:
        return requests.job_of(
            preview,
            source,
            max_pixels=self._settings.max_pixels,
            max_steps=self._settings.max_steps,
        )
