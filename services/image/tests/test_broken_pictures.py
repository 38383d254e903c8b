from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_service.renditions import render
from imagesystem.errors import Rejected
from PIL import Image

from services.image.tests.recipes import (
    SOURCES,
    photograph,
    recipe,
)
from services.image.tests.samples import (
    LIMITS,
    quadrants,
    saved,
)


def refused(source: bytes, **changes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        render(source, recipe(**changes), LIMITS)
    return caught.value


def test_a_header_of_too_many_pixels_is_refused_before_they_are_decoded():
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
    data += struct.pack(">I", zlib.crc32(header)) + struct.pack(">I", 8) + b"IDAT" + b"\0" * 8
    assert refused(data).code == "too_many_pixels"


def test_what_is_no_picture_is_told_without_the_insides_of_the_program():
    for data in (b"no picture at all", b"\x89PNG\r\n\x1a\n", b""):
        assert str(refused(data)) == (
            "the picture cannot be decoded: it is none of JPEG, PNG, WEBP, AVIF, GIF, BMP, TIFF, "
            "or broken at its beginning"
        )


def test_too_many_pixels_say_how_many_may_be():
    error = refused(saved(Image.new("1", (5000, 2001))))
    assert (error.code, error.allowed, error.actual) == ("too_many_pixels", 10_000_000, 10_005_000)


def test_a_rendition_of_too_many_pixels():
    data = saved(Image.new("L", (2000, 1000)))
    for error in (refused(data), refused(data, width=1200, height=1200, fit="contain")):
        assert (error.status, error.code, error.limit) == (
            400,
            "output_too_large",
            "MAX_OUTPUT_PIXELS",
        )


def test_more_than_a_format_can_hold():
    error = refused(saved(Image.new("L", (16_384, 2))), format="webp", quality=80)
    assert (error.status, error.code, error.allowed) == (400, "output_too_large", 16_383)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xff\xd8\xff",
        b"GIF89a",
    ],
)
def test_what_is_no_picture(data):
    assert refused(data).code == "corrupt_pixels"


def test_a_whole_png_whose_pixels_do_not_inflate():
    def chunk(kind, body):
        return (
            len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        )

    header = (64).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    parts = ((b"IHDR", header), (b"IDAT", b"\x78\x9c" + b"\xff" * 200), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    assert refused(data, width=10).code == "corrupt_pixels"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
def test_a_picture_cut_in_half(form):
    data = saved(photograph(200, 150), form)
    error = refused(data[: len(data) // 2], width=50)
    assert (error.status, error.code) == (422, "corrupt_pixels")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    form=st.sampled_from(sorted(SOURCES)),
    places=st.lists(st.floats(0, 1, exclude_max=True), max_size=6),
    flips=st.integers(1, 255),
    cut=st.one_of(st.none(), st.floats(0, 1)),
    width=st.integers(1, 150),
)
def test_bytes_cut_and_flipped_make_a_picture_or_a_refusal(form, places, flips, cut, width):
    data = bytearray(saved(quadrants(), form, **SOURCES[form]))
    for place in places:
        data[int(place * len(data))] ^= flips
    broken = bytes(data if cut is None else data[: int(cut * len(data))])
    try:
        made = render(broken, recipe(width=width), LIMITS)
    except Rejected as error:
        made, status = None, error.status
    else:
        status = 200
    assert status in (400, 422) if made is None else made.width <= width
