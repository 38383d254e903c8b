"""The usual kinds of PNG, by a decoder in Rust: the same pixels in half the time.

Only what that one and Pillow cannot read differently: 8 bits, grey, RGB or RGBA, one frame, no
transparent colour, no metadata behind the pixels. All else is for Pillow, and whatever the other
one refuses: one place says what is wrong with a file.
"""

from __future__ import annotations

from kornia_rs import io as rust
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

__all__ = ["fill"]

#: What `rust` calls the modes.
_MODES = {"L": "mono", "RGB": "rgb", "RGBA": "rgba"}
#: Where a file says its bits per channel, and whether its rows are interlaced.
_DEPTH, _INTERLACED = 24, 28
#: Where its chunks begin, and what each has besides its data: length, name, checksum.
_CHUNKS, _AROUND = 8, 12
#: It needs the pixels twice for a moment: not of pictures that would take much memory.
MAX_PIXELS = 16_000_000


def fill(image: PngImageFile, source: bytes) -> bool:
    """Decode the pixels of an opened PNG into it; returns whether that was done.

    Afterwards `load` finds nothing to do.
    """
    if not _usual(image, source):
        return False
    try:
        values = rust.decode_image_png_u8(source, (image.height, image.width), _MODES[image.mode])
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001  a panic there is no Exception; Pillow says what is wrong
        return False
    if image.mode == "L":
        values = values[..., 0]
    image.im = Image.fromarray(values).im
    image.tile = []
    return True


def _usual(image: PngImageFile, source: bytes) -> bool:
    pixels = image.width * image.height
    return (
        image.mode in _MODES
        and pixels <= MAX_PIXELS
        and not image.is_animated
        and "transparency" not in image.info
        and source[_DEPTH] == 8
        and not source[_INTERLACED]
        and _ends_with_pixels(source)
    )


def _ends_with_pixels(source: bytes) -> bool:
    """Say whether nothing but its end follows the pixels."""
    at, pixels = _CHUNKS, False
    while at + _AROUND <= len(source):
        name = source[at + 4 : at + 8]
        if name == b"IEND":
            return pixels
        if pixels and name != b"IDAT":
            return False
        pixels = name == b"IDAT"
        at += _AROUND + int.from_bytes(source[at : at + 4], "big")
    return False
