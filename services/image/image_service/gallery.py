"""The service as its routes see it: originals, renditions, and what the answers promise."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from imagesystem.bus import Bus
from imagesystem.errors import Rejected
from imagesystem.events import Uploaded
from imagesystem.spools import Spools

from image_service.darkroom import Darkroom
from image_service.evidence import Evidence, gather
from image_service.hot import HotAnswers
from image_service.originals import Originals
from image_service.parameters import Interpreter
from image_service.presets import Presets
from image_service.signatures import Signatures

__all__ = ["SMALL_BYTES", "Gallery", "cache_control"]

#: Originals up to this size go to the memory that renditions have; larger ones are streamed.
SMALL_BYTES = 1024 * 1024


class Gallery(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes need. Ages in seconds; `cache_control` goes with every good answer."""

    originals: Originals
    darkroom: Darkroom
    hot: HotAnswers
    cache_control: str
    bus: Bus
    presets: Presets
    signatures: Signatures
    max_age_s: int
    unsettled_max_age_s: int
    max_transform_bytes: int
    spools: Spools
    fallback_image_id: str | None
    interpreter: Interpreter

    async def small_original(self, original: Uploaded) -> tuple[str, bytes]:
        """Return an original's name on the shelf and its bytes, from there if they are there.

        Raises as `Originals.whole`.
        """
        name = f"{original.image_id}/{original.sha256}"
        data = self.hot.shelf.get(name)
        if data is None:
            data = await self.originals.whole(original)
            self.hot.shelf.put(name, data, [original.image_id])
        return name, data

    async def find_others(self, image_ids: Iterable[str]) -> None:
        """Raise `Rejected` 422 `unknown_watermark` if one is not there (any more)."""
        for image_id in image_ids:
            try:
                await self.originals.find(image_id)
            except Rejected as error:
                raise Rejected(
                    422,
                    "unknown_watermark",
                    f"the watermark cannot be drawn: {error.message}",
                    limit="watermark",
                    allowed="the id of an uploaded image",
                    actual=image_id,
                ) from error

    async def evidence(self, image_id: str) -> Evidence:
        """Return what inference has said of an image so far."""
        return gather(await self.bus.facts(image_id))


def cache_control(max_age_s: int, *, immutable: bool = True) -> str:
    """Return the `Cache-Control` of a good answer.

    The bytes behind a URL never change (an id is made from them), so within its age a copy need
    not be checked even on a reload: `immutable`. Where facts had a say, they may change.
    """
    if not max_age_s:
        return "public, no-cache"
    return f"public, max-age={max_age_s}" + (", immutable" if immutable else "")
