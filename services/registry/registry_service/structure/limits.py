"""What a picture may be at most, checked from its header before anything is decoded."""

from __future__ import annotations

import msgspec
from imagesystem.errors import Rejected

__all__ = ["Limits"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Upper bounds: `max_pixels` per frame (width x height), `max_frames` per file."""

    max_pixels: int = 100_000_000
    max_frames: int = 1000

    def check_size(self, width: int, height: int) -> None:
        """Raise `Rejected` 422 `too_many_pixels` when a frame would be larger than allowed."""
        if width * height > self.max_pixels:
            raise Rejected(
                422,
                "too_many_pixels",
                f"the picture is {width} x {height} pixels",
                limit="MAX_PIXELS",
                allowed=self.max_pixels,
                actual=width * height,
            )

    def check_frames(self, frames: int) -> None:
        """Raise `Rejected` 422 `too_many_frames` when there are more than allowed.

        `actual` is what was counted so far: counting ends at the first frame too many.
        """
        if frames > self.max_frames:
            raise Rejected(
                422,
                "too_many_frames",
                "the picture has more frames (or pages) than allowed",
                limit="MAX_FRAMES",
                allowed=self.max_frames,
                actual=frames,
            )
