"""Another picture where the one that was asked for is missing or broken, and never hidden."""

from __future__ import annotations

from typing import Any

from imagesystem import logs
from imagesystem.errors import ImageSystemError, Rejected
from litestar import Request
from litestar.response.base import ASGIResponse

from image_service import parameters
from image_service.formats import FORMATS
from image_service.gallery import Gallery
from image_service.parameters import Source, Wanted

__all__ = ["fallback"]

log = logs.get(__name__)

#: What a picture is replaced for; everything else is for whoever asks to put right.
REPLACED = frozenset(
    {
        "unknown_image",
        "image_deleted",
        "corrupt_pixels",
        "too_many_pixels",
        "unprocessable_picture",
        "animation_too_large",
    }
)
#: What is said of one picture and of no other.
_OF_ONE = ("crop", "redact", "frame", "gravity", "watermark", "trim", "max_bytes", "fallback")


async def fallback(
    request: Request[Any, Any, Any], gallery: Gallery, wanted: Wanted, error: Rejected
) -> ASGIResponse | None:
    """Return the fallback in the size and format asked for; None if there is none to show.

    It has the status of the error, says in `X-Fallback-For` what that was, and is never kept.
    """
    image_id = wanted.get("fallback", gallery.fallback_image_id)
    if image_id is None or error.code not in REPLACED:
        return None
    try:
        original = await gallery.originals.find(image_id)
        recipe = parameters.resolve(
            wanted.without(*_OF_ONE),
            Source(media_type=original.media_type, width=original.width, height=original.height),
            request.headers.get("accept", ""),
        )
        data = (await gallery.darkroom.develop(original, recipe)).data
    except ImageSystemError as failure:
        log.warning("fallback_not_shown", image_id=image_id, error=failure.message)
        return None
    headers = {
        "cache-control": "no-store",
        "content-length": str(len(data)),
        "x-content-type-options": "nosniff",
        "x-fallback-for": error.code,
    }
    return ASGIResponse(
        body=b"" if request.method == "HEAD" else data,
        status_code=error.status,
        headers=headers,
        media_type=FORMATS[recipe.format].media_type,
        is_head_response=request.method == "HEAD",
    )
