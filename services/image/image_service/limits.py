"""What rendering may cost: the limits that a worker is told, and how they are refused."""

from __future__ import annotations

import msgspec
from imagesystem.errors import Rejected

__all__ = ["Limits", "too_many_pixels"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most pixels that are decoded and that are encoded.

    Of an animation: frames, and pixels decoded of all of them; those that are encoded count
    together.
    """

    max_pixels: int
    max_output_pixels: int
    max_animation_frames: int = 300
    max_animation_pixels: int = 400_000_000


def too_many_pixels(pixels: int, limits: Limits) -> Rejected:
    """Return the refusal of a source that has more pixels than are decoded."""
    return Rejected(
        422,
        "too_many_pixels",
        f"the picture has {pixels} pixels, too many to decode",
        limit="MAX_PIXELS",
        allowed=limits.max_pixels,
        actual=pixels,
    )
