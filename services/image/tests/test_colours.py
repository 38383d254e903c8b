from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from image_service.formats import FORMATS
from image_service.renditions import render
from PIL import Image, ImageCms, PngImagePlugin

from services.image.tests.recipes import (
    alike,
    corners,
    recipe,
    rendered,
)
from services.image.tests.samples import (
    BLUE,
    GREEN,
    LIMITS,
    RED,
    YELLOW,
    opened,
    quadrants,
    saved,
)


def translucent() -> Image.Image:
    """Left half opaque red, right half red at alpha 128, one transparent green corner."""
    picture = Image.new("RGBA", (64, 64), (255, 0, 0, 255))
    picture.paste((255, 0, 0, 128), (32, 0, 64, 64))
    picture.paste((0, 255, 0, 0), (0, 0, 16, 16))
    return picture


@pytest.mark.parametrize("source", ["PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("target", ["png", "webp", "avif", "tiff"])
def test_alpha_is_kept(source, target):
    options = {"lossless": True} if source == "WEBP" else {}
    data = saved(translucent(), source, **options)
    picture = rendered(data, width=32, format=target, quality=90)
    assert picture.mode == "RGBA"
    assert alike(picture.getpixel((8, 28)), (255, 0, 0, 255))
    assert alike(picture.getpixel((28, 28)), (255, 0, 0, 128))
    assert picture.getpixel((2, 2))[3] < 12


@pytest.mark.parametrize("target", ["jpeg", "bmp"])
def test_alpha_is_laid_over_white_where_it_cannot_be_kept(target):
    picture = rendered(saved(translucent()), width=32, format=target, quality=95)
    assert picture.mode == "RGB"
    assert alike(picture.getpixel((28, 28)), (255, 127, 127))
    assert alike(picture.getpixel((3, 3)), (255, 255, 255))


def test_a_gif_keeps_what_is_wholly_transparent():
    picture = rendered(saved(translucent()), width=32, format="gif").convert("RGBA")
    assert picture.getpixel((2, 2))[3] == 0
    assert alike(picture.getpixel((8, 28)), (255, 0, 0, 255))
    # half transparent is one or the other
    assert alike(picture.getpixel((28, 28)), (255, 0, 0, 255))


def test_transparent_colours_do_not_bleed():
    """The hidden green of transparent pixels is no part of an average."""
    picture = Image.new("RGBA", (64, 64), (0, 255, 0, 0))
    picture.paste((255, 0, 0, 255), (32, 0, 64, 64))
    small = rendered(saved(picture), width=15)
    visible = [pixel for pixel in small.get_flattened_data() if pixel[3] > 64]
    assert all(green < 12 for _, green, _, _ in visible)


def test_an_alpha_channel_that_hides_nothing_goes():
    assert rendered(saved(quadrants().convert("RGBA")), width=48).mode == "RGB"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA"])
def test_modes(mode):
    picture = quadrants().quantize(8) if mode == "P" else quadrants().convert(mode)
    wanted = corners(picture.convert("RGB"))
    assert alike(corners(rendered(saved(picture), width=48)), wanted)


def test_one_bit_becomes_greys():
    checks = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)).convert("1")
    assert alike(rendered(saved(checks), width=16).getpixel((8, 8)), 127)


def test_a_palette_with_a_transparent_entry():
    picture = quadrants().quantize(8)
    picture.info["transparency"] = picture.getpixel((0, 0))
    made = rendered(saved(picture, transparency=picture.getpixel((0, 0))), width=48)
    assert made.mode == "RGBA"
    assert made.getpixel((5, 5))[3] == 0
    assert made.getpixel((40, 5))[3] == 255


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_transparent_colour(mode):
    picture = quadrants().convert(mode)
    made = rendered(saved(picture, transparency=picture.getpixel((0, 0))), width=48)
    assert made.getpixel((5, 5))[-1] == 0
    assert made.getpixel((40, 5))[-1] == 255


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(form):
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    picture = rendered(saved(Image.fromarray(ramp), form))
    found = np.asarray(picture.convert("L"), int)[10]
    assert np.abs(found - np.arange(256)).max() <= 1


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a band, as Pillow cannot write one. `values`: (H, W, 3 or 4), uint16."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body).to_bytes(4, "big")
        return len(body).to_bytes(4, "big") + kind + body + crc

    height, width, bands = values.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[bands], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


@pytest.mark.parametrize("bands", [3, 4])
def test_sixteen_bits_of_each_colour(bands):
    y, x = np.mgrid[0:64, 0:96]
    levels = np.stack([x * 689, y * 1040, (x + y) * 414, 0 * x + 40_000], -1)[..., :bands]
    expected = levels / 257
    for query in ({}, {"width": 48, "format": "webp", "lossless": True}):
        picture = rendered(deep_png(levels.astype(np.uint16)), **query)
        assert picture.mode == ("RGB" if bands == 3 else "RGBA")
        found, wanted = np.asarray(picture, float), expected[:: 2 if query else 1]
        wanted = wanted[:, :: 2 if query else 1]
        assert np.abs(found - wanted).max() <= (8 if query else 1)


@pytest.mark.parametrize("depth", [np.int32, np.float32])
def test_deeper_pixels(depth):
    ramp = np.tile(np.linspace(0, 1, 256), (16, 1))
    values = (ramp * (65535 if depth is np.int32 else 1)).astype(depth)
    picture = rendered(saved(Image.fromarray(values), "TIFF"))
    assert np.abs(np.asarray(picture.convert("L"), int)[5] - np.arange(256)).max() <= 1


def test_floats_that_are_no_numbers():
    values = np.full((16, 16), np.nan, np.float32)
    values[:, 8:] = np.inf
    assert rendered(saved(Image.fromarray(values), "TIFF")).size == (16, 16)


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
@pytest.mark.parametrize("target", ["jpeg", "png", "webp"])
def test_cmyk(form, target):
    data = saved(quadrants(192, 128).convert("CMYK"), form)
    picture = rendered(data, width=48, format=target, quality=90)
    assert picture.mode == "RGB"
    assert alike(corners(picture), [RED, GREEN, BLUE, YELLOW], tolerance=20)


def test_lab():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    picture = ImageCms.profileToProfile(quadrants(), srgb, lab, outputMode="LAB")
    assert alike(corners(rendered(saved(picture, "TIFF"), width=48)), corners(quadrants()), 20)


def test_a_profile_is_applied_and_gone():
    """Swapped primaries: what the profile calls red is green in sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = bytearray(profile)
    entries = range(132, 132 + 12 * profile[131], 12)
    places = {profile[at : at + 4]: at for at in entries}
    red, green = (slice(places[tag] + 4, places[tag] + 12) for tag in (b"rXYZ", b"gXYZ"))
    swapped[red], swapped[green] = profile[green], profile[red]
    description = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    for encoding in ("utf-16-be", "ascii"):
        while (at := bytes(swapped).find("sRGB".encode(encoding))) >= 0 and at > 128:
            length = len("sRGB".encode(encoding))
            swapped[at : at + length] = "swap".encode(encoding)
    assert "sRGB" in description
    data = saved(Image.new("RGB", (32, 32), (255, 0, 0)), icc_profile=bytes(swapped))
    picture = rendered(data, width=16)
    assert "icc_profile" not in picture.info
    assert alike(picture.getpixel((8, 8)), (0, 255, 0))


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 128])
def test_a_broken_profile_says_nothing(profile):
    data = saved(quadrants(), icc_profile=profile)
    assert alike(corners(rendered(data, width=48)), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("width", [24, None])
def test_nothing_private_goes_out(target, width):
    exif = Image.Exif()
    exif[0x010E] = "PRIVATE"
    exif.get_ifd(0x8825)[1] = "N"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "PRIVATE")
    text.add_itxt("XML:com.adobe.xmp", "<x>PRIVATE</x>")
    sources = [
        saved(quadrants(), "PNG", exif=exif, pnginfo=text),
        saved(quadrants(), "JPEG", exif=exif, comment=b"PRIVATE", xmp=b"<x>PRIVATE</x>"),
        saved(quadrants(), "WEBP", exif=exif, xmp=b"<x>PRIVATE</x>"),
        saved(quadrants(), "GIF", comment=b"PRIVATE"),
        saved(quadrants(), "TIFF", exif=exif),
    ]
    for source in sources:
        data = render(source, recipe(width=width, format=target, quality=80), LIMITS).data
        assert b"PRIVATE" not in data
        assert not opened(data).getexif().get(0x010E)


@pytest.mark.parametrize("source", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_many_frames_the_first_is_shown(source):
    frames = [quadrants(), Image.new("RGB", (96, 64), "black")]
    data = saved(frames[0], source, save_all=True, append_images=frames[1:])
    assert alike(corners(rendered(data, width=48)), [RED, GREEN, BLUE, YELLOW], 25)
