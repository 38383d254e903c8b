from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagesystem.errors import Rejected
from inference_service import decoding
from inference_service.decoding import Pixels, decode
from PIL import Image, ImageCms

DATA = Path(__file__).parents[3] / "tests" / "data"
MANY = 100_000_000


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def chart(width: int = 90, height: int = 60) -> Image.Image:
    """Four areas of one colour each: red, green / blue, white."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[: height // 2, : width // 2] = (220, 20, 20)
    pixels[: height // 2, width // 2 :] = (20, 160, 20)
    pixels[height // 2 :, : width // 2] = (20, 20, 220)
    return Image.fromarray(pixels)


def corners(pixels: Pixels) -> list[str]:
    """The names of the colours at top left, top right, bottom left, bottom right."""
    height, width = pixels.shape[:2]
    names = []
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            red, green, blue = (int(value) for value in pixels[y, x])
            strong = [value > 110 for value in (red, green, blue)]
            names.append({(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B"}.get(tuple(strong), "W"))
    return names


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF"])
def test_every_allowed_format_is_read_at_the_size_asked_for(form: str) -> None:
    data = saved(chart(), form)
    whole = decode(data, max_pixels=MANY, side=512)
    assert whole.pixels.shape == (60, 90, 3)
    assert corners(whole.pixels) == ["R", "G", "B", "W"]
    small = decode(data, max_pixels=MANY, side=30)
    assert small.pixels.shape == (20, 30, 3)
    assert (small.width, small.height) == (90, 60)
    assert corners(small.pixels) == ["R", "G", "B", "W"]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, "RGBW"),
        (2, "GRWB"),
        (3, "WBGR"),
        (4, "BWRG"),
        (5, "RBGW"),
        (6, "BRWG"),
        (7, "WGBR"),
        (8, "GWRB"),
    ],
)
def test_pictures_are_turned_upright(form: str, orientation: int, upright: str) -> None:
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = orientation
    data = saved(chart(), form, exif=exif)
    for side in (512, 30):
        picture = decode(data, max_pixels=MANY, side=side)
        assert "".join(corners(picture.pixels)) == upright
        turned = orientation >= 5
        assert (picture.width, picture.height) == ((60, 90) if turned else (90, 60))
        assert (picture.pixels.shape[0] > picture.pixels.shape[1]) == turned


def test_a_jpeg_that_the_decoder_makes_smaller_keeps_its_size_in_the_answer() -> None:
    data = saved(chart(4000, 3000), "JPEG")
    picture = decode(data, max_pixels=MANY, side=512)
    assert picture.pixels.shape == (384, 512, 3)
    assert (picture.width, picture.height) == (4000, 3000)


MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I;16", "I", "F"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = chart().convert(mode)
    for form in ("PNG", "TIFF", "JPEG"):
        try:
            data = saved(image, form)
        except OSError:  # this format does not have this mode
            continue
        for side in (512, 20):
            assert decode(data, max_pixels=MANY, side=side).pixels.shape[2] == 3


def test_what_is_transparent_shows_white() -> None:
    image = Image.new("RGBA", (40, 40), (200, 0, 0, 0))
    image.paste((0, 0, 200, 255), (0, 0, 20, 40))
    for form in ("PNG", "WEBP", "TIFF"):
        data = saved(image, form, lossless=True) if form == "WEBP" else saved(image, form)
        pixels = decode(data, max_pixels=MANY, side=512).pixels
        assert pixels[20, 30].tolist() == [255, 255, 255]
        assert pixels[20, 10].tolist() == [0, 0, 200]


def test_a_transparent_palette_entry_shows_white() -> None:
    image = Image.new("P", (10, 10), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    data = saved(image, "PNG", transparency=1)
    assert decode(data, max_pixels=MANY, side=512).pixels[5, 5].tolist() == [255, 255, 255]


def test_half_transparent_is_half_white() -> None:
    data = saved(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG")
    assert decode(data, max_pixels=MANY, side=512).pixels[0, 0].tolist() == [127, 127, 127]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    grey = np.array([[0, 0x4000, 0x8000, 0xFFFF]], np.uint16)
    for form in ("PNG", "TIFF"):
        data = saved(Image.fromarray(grey), form)
        pixels = decode(data, max_pixels=MANY, side=512).pixels
        assert pixels[0, :, 0].tolist() == [0, 64, 128, 255]


def test_floats_may_hold_anything() -> None:
    values = np.array([[0.0, 0.5, 1.0, np.nan, np.inf, -np.inf]], np.float32)
    data = saved(Image.fromarray(values), "TIFF")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = decode(data, max_pixels=MANY, side=512).pixels
    assert pixels[0, :3, 0].tolist() == [0, 128, 255]


def test_cmyk_is_not_inverted() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for form in ("JPEG", "TIFF"):
        red, green, blue = decode(saved(image, form), max_pixels=MANY, side=512).pixels[8, 8]
        assert red > 240
        assert green < 15
        assert blue < 15


def test_a_colour_profile_is_applied_and_a_broken_one_ignored() -> None:
    lab_like = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    image = Image.new("RGB", (8, 8), (10, 200, 30))
    for profile in (b"not a profile", lab_like[:60], b""):
        data = saved(image, "PNG", icc_profile=profile) if profile else saved(image, "PNG")
        assert decode(data, max_pixels=MANY, side=512).pixels[4, 4].tolist() == [10, 200, 30]


def test_a_large_picture_is_averaged_the_same_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    image = Image.fromarray(random.integers(0, 256, (401, 303, 4), dtype=np.uint8))
    data = saved(image, "PNG")
    whole = decode(data, max_pixels=MANY, side=100).pixels
    monkeypatch.setattr(decoding, "BAND_PIXELS", 5_000)
    assert np.array_equal(decode(data, max_pixels=MANY, side=100).pixels, whole)


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    for form in ("GIF", "WEBP", "PNG", "AVIF"):
        data = saved(frames[0], form, save_all=True, append_images=frames[1:], duration=100)
        red, green, blue = decode(data, max_pixels=MANY, side=512).pixels[10, 10].tolist()
        assert red > 200
        assert max(green, blue) < 60


def png(width: int, height: int, pixels: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "empty_file"),
        (b"just some text, named photo.jpg", 415, "unsupported_media_type"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported_media_type"),
        (png(50_000, 50_000, zlib.compress(b"")), 422, "too_many_pixels"),
        (png(8, 8, zlib.compress(b"\0" * 30)), 422, "corrupt_pixels"),
        (png(8, 8, b"neither zlib nor anything"), 422, "corrupt_pixels"),
        (saved(chart(), "JPEG")[:-300], 422, "corrupt_pixels"),
        (saved(chart(), "WEBP")[:-20], 422, "corrupt_pixels"),
    ],
)
def test_bad_bytes_are_refused_with_a_reason(data: bytes, status: int, code: str) -> None:
    with pytest.raises(Rejected) as caught:
        decode(data, max_pixels=MANY, side=512)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_the_limit_is_told_before_a_pixel_is_decoded() -> None:
    with pytest.raises(Rejected) as caught:
        decode(saved(chart(), "PNG"), max_pixels=5_399, side=512)
    told = (caught.value.limit, caught.value.allowed, caught.value.actual)
    assert told == ("MAX_PIXELS", 5_399, 5_400)
    assert decode(saved(chart(), "PNG"), max_pixels=5_400, side=512).width == 90


VALID = [saved(chart(24, 16), form) for form in ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF")]


@given(
    data=st.sampled_from(VALID),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=4),
)
@settings(max_examples=150, deadline=None)
def test_damaged_pictures_are_read_or_refused(
    data: bytes, cut: float, flips: list[tuple[float, int]]
) -> None:
    damaged = bytearray(data[: max(1, int(len(data) * cut))] if cut < 0.5 else data)
    for place, mask in flips:
        damaged[int(place * len(damaged))] ^= mask
    statuses: set[int] = set()
    try:
        picture = decode(bytes(damaged), max_pixels=1_000_000, side=64)
    except Rejected as refused:
        statuses.add(refused.status)
    else:
        assert picture.pixels.dtype == np.uint8
        assert max(picture.pixels.shape[:2]) <= 64
    assert statuses <= {415, 422}
