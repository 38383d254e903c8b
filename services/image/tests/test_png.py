from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from image_service import decoding, png
from imagesystem.errors import Rejected
from PIL import Image, PngImagePlugin

from services.image.tests.samples import LIMITS, gradient, saved

GREY = gradient().convert("L")


def opened(source: bytes) -> PngImagePlugin.PngImageFile:
    image = Image.open(io.BytesIO(source))
    assert isinstance(image, PngImagePlugin.PngImageFile)
    return image


def inserted(source: bytes, before: bytes, name: bytes, data: bytes) -> bytes:
    """Put a chunk before the first one of a name."""
    at = source.index(before) - 4
    crc = zlib.crc32(name + data).to_bytes(4, "big")
    return source[:at] + len(data).to_bytes(4, "big") + name + data + crc + source[at:]


USUAL = {
    "grey": saved(GREY),
    "colours": saved(gradient()),
    "alpha": saved(gradient().convert("RGBA")),
    "text before the pixels": inserted(saved(gradient()), b"IDAT", b"tEXt", b"Author\0me"),
    "one pixel": saved(Image.new("RGB", (1, 1), (1, 2, 3))),
}
UNUSUAL = {
    "grey and alpha": saved(GREY.convert("LA")),
    "palette": saved(gradient().quantize(16)),
    "16 bits": saved(Image.fromarray(np.full((8, 8), 40_000, np.uint16))),
    "1 bit": saved(GREY.convert("1")),
    "a transparent colour": saved(gradient(), transparency=(0, 0, 0)),
    "text behind the pixels": inserted(USUAL["colours"], b"IEND", b"tEXt", b"Author\0me"),
    "frames": saved(gradient(), save_all=True, append_images=[gradient().rotate(180)]),
    "cut off": USUAL["colours"][:200],
    "a broken checksum": USUAL["colours"][:-16] + bytes(4) + USUAL["colours"][-12:],
}


@pytest.mark.parametrize("name", USUAL)
def test_the_pixels_are_those_of_pillow(name):
    image, reference = opened(USUAL[name]), opened(USUAL[name])
    assert png.fill(image, USUAL[name])
    assert (image.mode, image.size) == (reference.mode, reference.size)
    assert np.array_equal(np.asarray(image), np.asarray(reference))
    assert image.getexif() == {}
    assert image.info == reference.info


@pytest.mark.parametrize("name", UNUSUAL)
def test_the_rest_is_left_to_pillow(name):
    assert not png.fill(opened(UNUSUAL[name]), UNUSUAL[name])


def test_metadata_before_the_pixels_is_known():
    exif = Image.Exif()
    exif[0x0112] = 6
    source = saved(gradient(), exif=exif)
    image = decoding.open_(source, LIMITS)
    assert decoding.orientation(image).transpose is Image.Transpose.ROTATE_270


@pytest.mark.parametrize("cut", [60, 200, -40])
def test_a_file_that_is_cut_off_is_no_picture(cut):
    with pytest.raises(Rejected) as caught:
        decoding.open_(USUAL["colours"][:cut], LIMITS)
    assert caught.value.code == "corrupt_pixels"
