from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from augmentation_service import pictures
from augmentation_service.colours import over_white
from augmentation_service.pictures import FORMATS, decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st
from imagesystem.errors import Rejected
from PIL import Image, ImageCms

Photo = Callable[..., bytes]
FORMS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
ENOUGH = 1_000_000

pictures.prepare()


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def gradient(width: int = 40, height: int = 24) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 6, y * 10, (x + y) * 4], axis=-1).astype(np.uint8)


def refused(data: bytes, max_pixels: int = ENOUGH) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode(data, max_pixels)
    return caught.value


@pytest.mark.parametrize("form", FORMS)
def test_every_format_is_decoded(form: str) -> None:
    pixels = gradient()
    options = {"quality": 95} if form in ("JPEG", "WEBP", "AVIF") else {}
    decoded = decode(saved(Image.fromarray(pixels), form, **options), ENOUGH)
    assert decoded.shape == pixels.shape
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - pixels).mean() < 8


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("LA", 4), ("RGB", 3), ("RGBA", 4), ("P", 3), ("CMYK", 3), ("I;16", 1)],
)
def test_every_mode_is_grey_colour_or_colour_with_alpha(mode: str, channels: int) -> None:
    source = Image.fromarray(gradient())
    image = (
        Image.fromarray((np.asarray(source.convert("L")).astype(np.uint16)) * 257)
        if mode == "I;16"
        else source.convert(mode)
    )
    assert image.mode == mode
    decoded = decode(saved(image, "TIFF" if mode == "CMYK" else "PNG"), ENOUGH)
    assert decoded.shape == (24, 40, channels)
    luma = decoded[..., :3].mean(axis=2)
    expected = np.asarray(source.convert("L"))
    if mode != "1":
        assert np.abs(luma - expected).mean() < 25


def test_sixteen_bits_keep_their_tones() -> None:
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    decoded = decode(saved(Image.fromarray(ramp)), ENOUGH)
    assert np.array_equal(decoded[..., 0].ravel(), np.arange(256))


def test_floats_and_long_integers() -> None:
    floats = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    floats[0, 0] = np.nan
    decoded = decode(saved(Image.fromarray(floats), "TIFF"), ENOUGH)[..., 0]
    assert (decoded[0, 0], decoded[-1, -1]) == (0, 255)
    integers = np.arange(100, dtype=np.int32).reshape(10, 10) * 1000
    decoded = decode(saved(Image.fromarray(integers), "TIFF"), ENOUGH)[..., 0]
    assert decoded[-1, -1] == 255


def test_alpha_is_kept_and_a_palette_may_have_it() -> None:
    pixels = np.dstack([gradient(), np.tile(np.arange(40, dtype=np.uint8) * 6, (24, 1))])
    assert np.array_equal(decode(saved(Image.fromarray(pixels)), ENOUGH), pixels)
    palette = Image.fromarray(gradient()).convert("P")
    decoded = decode(saved(palette, transparency=palette.getpixel((0, 0))), ENOUGH)
    assert decoded.shape[2] == 4
    assert decoded[0, 0, 3] == 0
    assert decoded[-1, -1, 3] == 255


def test_a_transparent_level_of_grey() -> None:
    grey = Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20))
    decoded = decode(saved(grey, transparency=7), ENOUGH)
    assert decoded[0, 7].tolist() == [7, 7, 7, 0]
    assert decoded[0, 8].tolist() == [8, 8, 8, 255]
    deep = Image.fromarray(np.arange(0, 20_000, 100, dtype=np.uint16).reshape(10, 20))
    decoded = decode(saved(deep, transparency=700), ENOUGH)
    assert (decoded[0, 7, 3], decoded[0, 8, 3]) == (0, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_pictures_come_upright(orientation: int, form: str) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = 255  # white, above left
    # What each orientation makes of the stored rows and columns (EXIF 2.32, figure 6).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(np.ascontiguousarray(stored)), form, exif=exif)
    decoded = decode(data, ENOUGH)
    assert decoded.shape == upright.shape
    assert np.abs(decoded.astype(int) - upright).mean() < 3


def test_a_colour_profile_is_applied() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(gradient())
    assert np.array_equal(decode(saved(image, icc_profile=srgb), ENOUGH), gradient())
    assert np.array_equal(decode(saved(image, icc_profile=b"no profile"), ENOUGH), gradient())
    # A profile whose red is blue and whose blue is red.
    swapped = srgb.replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))
    swapped = swapped.replace(b"rXYZ", b"....").replace(b"bXYZ", b"rXYZ").replace(b"....", b"bXYZ")
    opaque = np.dstack([gradient(), np.full((24, 40, 1), 255, np.uint8)])
    for pixels in (gradient(), opaque):
        decoded = decode(saved(Image.fromarray(pixels), icc_profile=swapped), ENOUGH)
        assert decoded.shape == pixels.shape
        assert np.abs(decoded[..., 2::-1].astype(int) - gradient()).max() <= 3


def test_of_an_animation_the_first_frame() -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    for form in ("GIF", "WEBP", "PNG"):
        data = saved(frames[0], form, save_all=True, append_images=frames[1:])
        decoded = decode(data, ENOUGH)
        assert decoded.shape[:2] == (10, 20)
        assert decoded[5, 5, 0] > 240
        assert decoded[5, 5, 2] < 10


def png_header(width: int, height: int, pixels: bytes = zlib.compress(b"\0" * 99)) -> bytes:
    """A PNG with whole chunks and not enough pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*parts) for parts in chunks)


def test_sizes_are_checked_before_pixels_are_decoded() -> None:
    error = refused(png_header(50_000, 50_000), 100_000_000)
    assert (error.status, error.code) == (422, "too_many_pixels")
    assert (error.limit, error.allowed, error.actual) == ("MAX_PIXELS", 10**8, 25 * 10**8)
    # Pillow's own limit is lower than ours, and must not get in its way.
    assert refused(png_header(9_900, 9_900), 100_000_000).code == "corrupt_pixels"
    error = refused(saved(Image.new("L", (100, 101))), 10_000)
    assert (error.code, error.actual) == ("too_many_pixels", 10_100)
    assert decode(saved(Image.new("L", (100, 100))), 10_000).shape == (100, 100, 1)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "empty_file"),
        (b"hello", 415, "unsupported_media_type"),
        (b"<svg/>", 415, "unsupported_media_type"),
        (b"%PDF-1.7", 415, "unsupported_media_type"),
        (b"\0" * 100, 415, "unsupported_media_type"),
        (b"BM", 422, "corrupt_pixels"),
        (b"GIF89a", 422, "corrupt_pixels"),
        (b"II*\0", 422, "corrupt_pixels"),
        (png_header(64, 64), 422, "corrupt_pixels"),
        (png_header(64, 64, b"\x78\x9c" + b"\xff" * 200), 422, "corrupt_pixels"),
    ],
)
def test_what_is_no_picture(data: bytes, status: int, code: str) -> None:
    error = refused(data)
    assert (error.status, error.code) == (status, code)


def test_a_format_that_is_not_allowed_is_not_decoded() -> None:
    for form in ("PPM", "PCX", "TGA", "ICO"):
        data = saved(Image.fromarray(gradient()), form)
        assert refused(data).code == "unsupported_media_type"


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about damaged TIFF tags
@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_damage_is_the_clients_and_never_ours(form: str, data: st.DataObject) -> None:
    whole = bytearray(saved(Image.fromarray(gradient()), form))
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode(bytes(whole), ENOUGH)
    except Rejected as error:
        known = {"empty_file", "unsupported_media_type", "corrupt_pixels", "too_many_pixels"}
        assert error.code in known  # noqa: PT017  decoding it is as good
    else:
        assert decoded.dtype == np.uint8
        assert decoded.shape[2] in (1, 3, 4)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_was_encoded_is_decoded(name: str, channels: int) -> None:
    pixels = np.dstack([gradient(), np.full((24, 40, 1), 255, np.uint8)])[..., :channels]
    data = encode(np.ascontiguousarray(pixels), FORMATS[name], 95)
    decoded = decode(data, ENOUGH)
    colours = min(channels, 3)
    assert np.abs(decoded[..., :colours].astype(int) - pixels[..., :colours]).mean() < 8
    if name == "png":
        assert np.array_equal(decoded, pixels)


def test_quality_matters_where_there_is_one() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("jpeg", "webp"):
        assert len(encode(pixels, FORMATS[name], 20)) < len(encode(pixels, FORMATS[name], 95))


def test_without_transparency_there_is_white() -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, 4:, 3] = 128
    flat = over_white(pixels)
    assert (flat[:, :4] == 255).all()
    assert (np.abs(flat[:, 4:].astype(int) - 127) <= 1).all()
    assert decode(encode(pixels, FORMATS["jpeg"]), ENOUGH).shape == (8, 8, 3)


def test_sides_that_are_too_long() -> None:
    with pytest.raises(Rejected) as caught:
        encode(np.zeros((1, 16_384, 1), np.uint8), FORMATS["webp"])
    assert (caught.value.status, caught.value.code) == (400, "output_too_large")
