"""The service as its routes see it: originals, renditions, and what the answers promise."""

from __future__ import annotations

import msgspec

from image_service.darkroom import Darkroom
from image_service.originals import Originals

__all__ = ["Gallery", "cache_control"]


class Gallery(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes need; `cache_control` goes with every good answer."""

    originals: Originals
    darkroom: Darkroom
    cache_control: str


def cache_control(max_age_s: int) -> str:
    """Return the `Cache-Control` of a good answer.

    The bytes behind a URL never change (an id is made from them), so within its age a copy need
    not be checked even on a reload: `immutable`.
    """
    return f"public, max-age={max_age_s}, immutable" if max_age_s else "public, no-cache"
