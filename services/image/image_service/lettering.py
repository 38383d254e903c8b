"""The font in which text is drawn: Open Sans, the same on every machine.

It has the Latin, Greek and Cyrillic letters. (The one that Pillow brings ends with ASCII.)
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from PIL import ImageFont

__all__ = ["drawable", "font"]

#: What no font has a picture of.
_NO_CHARACTER = "\uffff"
#: Pixels at which it is seen whether a letter is one.
_SAMPLE = 24


def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the font with lines of this height in pixels."""
    # Basic: what else there is depends on the libraries of the machine.
    path = files("ttf_opensans") / "ttf" / "OpenSans-Regular.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(4096)
def drawable(character: str) -> bool:
    """Say whether the font has a picture of a printable character."""
    sample = _sample()
    return bytes(sample.getmask(character)) != bytes(sample.getmask(_NO_CHARACTER))


@lru_cache(1)
def _sample() -> ImageFont.FreeTypeFont:
    return font(_SAMPLE)
