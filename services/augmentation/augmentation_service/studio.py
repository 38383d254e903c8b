"""A preview from its request to its variant: read, check, find the pictures, make it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, TypeVar

import msgspec
from imagesystem.bodies import Body, BodyLimit, Receive
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from imagesystem.originals import Originals
from imagesystem.spools import Spools

from augmentation_service import forms, requests
from augmentation_service.datasets import of_labels
from augmentation_service.forms import Limits
from augmentation_service.mixing import others_needed
from augmentation_service.previews import Previews, Read
from augmentation_service.rendering import (
    Job,
    Other,
    Rendered,
    ReplayJob,
    ReplayMade,
    Sheet,
    SheetJob,
    made_again,
    render,
    sheet,
)
from augmentation_service.requests import Preview, PreviewOfImage, Replay, ReplayOfImage
from augmentation_service.settings import Settings
from augmentation_service.shelf import Shelf

__all__ = ["FORM_OVERHEAD", "Asked", "Studio"]

#: Boundaries and headers of a form's parts, which are nobody's content.
FORM_OVERHEAD = 256 * 1024
W = TypeVar("W", bound=msgspec.Struct)
R = TypeVar("R")
#: Given what was asked for, the picture's SHA-256, and how to read it.
_Do: TypeAlias = Callable[[W, str, Read], Awaitable[R]]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose body is to be read: `kind` is its media type."""

    kind: str
    receive: Receive
    headers: Mapping[str, str]


class Studio:
    """What the routes of previews call."""

    def __init__(
        self,
        *,
        originals: Originals,
        previews: Previews,
        shelf: Shelf,
        spools: Spools,
        settings: Settings,
    ) -> None:
        self._originals = originals
        self._previews = previews
        self._shelf = shelf
        self._spools = spools
        self._settings = settings
        self._limits = Limits(
            max_upload_bytes=settings.max_upload_bytes,
            max_request_bytes=settings.max_request_bytes,
        )

    async def preview(self, asked: Asked) -> Rendered | Sheet:
        """Make a variant, or a contact sheet of several; nothing of it is kept.

        Of an image that was uploaded before if the body is JSON, of the picture in a form. Raises
        `Rejected`: 400 (what `requests` raises, `malformed_image_id`), 404, 408, 410, 413, 415,
        and what `Previews.make` raises.
        """
        return await self._done(asked, PreviewOfImage, Preview, self._preview)

    async def replay(self, asked: Asked) -> tuple[ReplayMade, bool]:
        """Make a variant again from its receipt; True if the picture is the receipt's source.

        Raises as `preview` does, and `Rejected` 400 `invalid_receipt`.
        """
        return await self._done(asked, ReplayOfImage, Replay, self._replay)

    async def _preview(self, preview: Preview, source: str, read: Read) -> Rendered | Sheet:
        steps, _ = await self._shelf.steps(preview.recipe)
        recipe = requests.recipe_of(steps, self._settings.max_steps)
        job = requests.job_of(preview, recipe, source, max_pixels=self._settings.max_pixels)
        if others_needed(recipe):
            others = await self._others(preview.others)
            job = msgspec.structs.replace(job, others=others)
        if preview.variants is None:
            rendered: Rendered = await self._previews.make(render, read, job, job)
            return rendered
        contacts = SheetJob(job=job, variants=preview.variants, tile=preview.tile)
        made: Sheet = await self._previews.make(sheet, read, contacts, job)
        return made

    async def _replay(self, asked: Replay, source: str, read: Read) -> tuple[ReplayMade, bool]:
        labels = asked.labels
        job = ReplayJob(
            receipt=asked.receipt,
            format=asked.format,
            quality=asked.quality,
            max_pixels=self._settings.max_pixels,
            given=None if labels is None else of_labels(labels),
            rules=asked.rules,
            others=await self._others(asked.others),
        )
        about = Job(
            recipe=requests.recipe_of([], self._settings.max_steps),
            seed=0,
            source=source,
            variant=0,
            format=asked.format,
            max_pixels=job.max_pixels,
        )
        made: ReplayMade = await self._previews.make(made_again, read, job, about)
        return made, source == asked.receipt.source

    async def _others(self, image_ids: list[str]) -> tuple[Other, ...]:
        found = []
        for text in image_ids:
            original = await self._originals.find(parse_image_id(text))
            data = await self._originals.whole(original)
            found.append(Other(data=data, source=original.sha256))
        return tuple(found)

    async def _done(self, asked: Asked, of_image: type[W], of_file: type[W], do: _Do[W, R]) -> R:
        if asked.kind == "application/json":
            limit = BodyLimit(name="MAX_REQUEST_BYTES", allowed=self._limits.max_request_bytes)
            async with self._body(asked, limit) as body:
                wanted = requests.from_json(await body.whole(), of_image)
            image_id = parse_image_id(wanted.image_id)  # type: ignore[attr-defined]
            original = await self._originals.find(image_id)
            return await do(wanted, original.sha256, lambda: self._originals.whole(original))
        if asked.kind == "multipart/form-data":
            return await self._of_form(asked, of_file, do)
        raise Rejected(
            415,
            "unsupported_media_type",
            "send application/json with an `image_id`, or multipart/form-data with a `file`",
            headers={"accept-post": "application/json, multipart/form-data"},
        )

    async def _of_form(self, asked: Asked, of_file: type[W], do: _Do[W, R]) -> R:
        limit = BodyLimit(
            name="MAX_UPLOAD_BYTES",
            allowed=self._limits.max_upload_bytes,
            overhead=self._limits.max_request_bytes + FORM_OVERHEAD,
        )
        with self._spools.open() as spool:
            async with self._body(asked, limit) as body:
                content_type = asked.headers.get("content-type", "")
                fields = await forms.read(body.read(), content_type, spool, self._limits)
            return await do(requests.from_form(fields, of_file), spool.sha256, spool.whole)

    def _body(self, asked: Asked, limit: BodyLimit) -> Body:
        return Body(asked.receive, asked.headers, limit, self._settings.idle_timeout_s)
