from __future__ import annotations

import io
import itertools
import math
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_service.formats import FORMATS
from image_service.geometry import FITS
from image_service.limits import Limits
from image_service.parameters import Recipe
from image_service.renditions import render
from imagesystem.errors import Rejected
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

LIMITS = Limits(max_pixels=10_000_000, max_output_pixels=1_000_000)
RED, GREEN, BLUE, YELLOW = (220, 20, 20), (20, 200, 20), (20, 20, 220), (230, 220, 20)
#: How a small picture is written in every format that is accepted.
SOURCES = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
}


def recipe(**changes) -> Recipe:
    return Recipe(
        **{"width": None, "height": None, "fit": "inside", "format": "png", "quality": None}
        | changes
    )


def quadrants(width: int = 96, height: int = 64) -> Image.Image:
    """Red, green; blue, yellow."""
    picture = Image.new("RGB", (width, height), RED)
    half_width, half_height = width // 2, height // 2
    picture.paste(GREEN, (half_width, 0, width, half_height))
    picture.paste(BLUE, (0, half_height, half_width, height))
    picture.paste(YELLOW, (half_width, half_height, width, height))
    return picture


def saved(picture: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def oriented(value: int) -> Image.Exif:
    """Made anew each time: Pillow's AVIF writer takes the tag out of what it is given."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def rendered(source: bytes, **changes) -> Image.Image:
    made = render(source, recipe(**changes), LIMITS)
    picture = opened(made.data)
    assert picture.size == (made.width, made.height)
    return picture


def corners(picture: Image.Image) -> list[tuple[int, ...]]:
    """The middles of the four quadrants."""
    rgb = picture.convert("RGB")
    return [
        rgb.getpixel((round(rgb.width * x), round(rgb.height * y)))
        for y, x in itertools.product((0.25, 0.75), repeat=2)
    ]


def alike(found, wanted, tolerance: int = 12) -> bool:
    return bool(np.abs(np.asarray(found, int) - np.asarray(wanted, int)).max() <= tolerance)


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one, float) - np.asarray(other, float)
    error = float((difference**2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def photograph(width: int = 800, height: int = 600) -> Image.Image:
    """Smooth colours with edges in them, the same each time."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    bands = [
        127 + 90 * np.sin(x / 37) * np.cos(y / 53),
        127 + 90 * np.cos(x / 71 + y / 43),
        100 + 60 * np.sin((x + y) / 29) + 40 * (((x // 50) + (y // 40)) % 2),
    ]
    return Image.fromarray(np.clip(np.stack(bands, -1), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_becomes_every_format(source, target):
    format_ = FORMATS[target]
    made = render(
        saved(quadrants(), source, **SOURCES[source]),
        recipe(width=48, format=target, quality=format_.quality),
        LIMITS,
    )
    picture = opened(made.data)
    assert picture.format == format_.pillow
    assert picture.size == (48, 32)
    assert alike(corners(picture), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("source", ["PNG", "JPEG"])
def test_fits_show_what_they_say(fit, source):
    picture = rendered(
        saved(quadrants(960, 640), source, **SOURCES[source]), width=120, height=120, fit=fit
    )
    size = {"inside": (120, 80), "scale-down": (120, 80), "outside": (180, 120)}
    assert picture.size == size.get(fit, (120, 120))
    # The middle of the source is the middle of the answer, and nothing is mirrored.
    if fit == "contain":
        assert picture.getpixel((60, 5))[3] == 0
        assert picture.getpixel((60, 115))[3] == 0
        picture = picture.crop((0, 20, 120, 100))
    assert alike(corners(picture), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("fit", ["inside", "cover", "contain", "fill"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_gone(orientation, source, fit):
    stored = quadrants(480, 320)
    source_bytes = saved(stored, source, **SOURCES[source], exif=oriented(orientation))
    upright = ImageOps.exif_transpose(opened(saved(stored, exif=oriented(orientation))))
    picture = rendered(source_bytes, width=60, height=60, fit=fit)
    reference = rendered(saved(upright), width=60, height=60, fit=fit)
    assert picture.size == reference.size
    assert not picture.getexif()
    assert alike(corners(picture), corners(reference))


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_turning_after_resampling_is_turning_before(orientation):
    """An asymmetric crop, at a fraction of a pixel: turned or not, the same pixels."""
    stored = photograph(301, 203)
    data = saved(stored, exif=oriented(orientation))
    upright = ImageOps.exif_transpose(opened(data))
    turned = rendered(data, width=50, height=77, fit="cover")
    straight = rendered(saved(upright), width=50, height=77, fit="cover")
    assert psnr(turned, straight) > 50


@pytest.mark.parametrize("width", [700, 400, 399, 300, 200, 100, 99, 37])
def test_a_jpeg_decoded_at_a_fraction_looks_like_one_decoded_whole(width):
    source = saved(photograph(), "JPEG", quality=95)
    whole = opened(source)
    reference = whole.resize((width, round(width * 0.75 + 1e-9)), Image.Resampling.LANCZOS)
    assert psnr(rendered(source, width=width), reference) > 38


def test_a_crop_of_a_jpeg_decoded_at_a_fraction_is_in_its_place():
    source = saved(photograph(801, 603), "JPEG", quality=95)
    reference = opened(source).resize((100, 100), Image.Resampling.LANCZOS, box=(99, 0, 702, 603))
    assert psnr(rendered(source, width=100, height=100, fit="cover"), reference) > 38


def test_nothing_is_enlarged():
    assert rendered(saved(quadrants()), width=4000).size == (96, 64)


def test_a_padded_picture_is_not_enlarged_either():
    picture = rendered(
        saved(quadrants()), width=200, height=200, fit="contain", format="jpeg", quality=95
    )
    assert picture.size == (200, 200)
    assert alike(picture.getpixel((10, 100)), (255, 255, 255))
    assert alike(corners(picture.crop((52, 68, 148, 132))), [RED, GREEN, BLUE, YELLOW])


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


def test_a_picture_of_one_pixel():
    for name, format_ in FORMATS.items():
        data = saved(Image.new("RGB", (1, 1), RED))
        picture = rendered(data, width=10, format=name, quality=format_.quality)
        assert picture.size == (1, 1)


@pytest.mark.parametrize("size", [(16_383, 1), (1, 16_383), (3, 5000)])
@pytest.mark.parametrize("name", FORMATS)
def test_extreme_proportions(name, size):
    data = saved(Image.new("RGB", size, RED))
    assert rendered(data, format=name, quality=FORMATS[name].quality).size == size
    assert min(rendered(data, width=7, height=7, format=name, quality=90).size) >= 1


def test_quality_matters():
    source = saved(photograph(), "JPEG", quality=98)
    for name in ("jpeg", "webp", "avif"):
        low, high = (
            len(render(source, recipe(width=200, format=name, quality=quality), LIMITS).data)
            for quality in (20, 90)
        )
        assert low < high / 1.5


def test_the_same_is_the_same():
    source = saved(photograph(), "JPEG", quality=98)
    for name, format_ in FORMATS.items():
        wanted = recipe(width=100, format=name, quality=format_.quality)
        assert render(source, wanted, LIMITS) == render(source, wanted, LIMITS)


def refused(source: bytes, **changes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        render(source, recipe(**changes), LIMITS)
    return caught.value


def test_a_header_of_too_many_pixels_is_refused_before_they_are_decoded():
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
    data += struct.pack(">I", zlib.crc32(header)) + struct.pack(">I", 8) + b"IDAT" + b"\0" * 8
    assert refused(data).code == "too_many_pixels"


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


@settings(max_examples=60, deadline=None)
@given(
    width=st.one_of(st.none(), st.integers(1, 300)),
    height=st.one_of(st.none(), st.integers(1, 300)),
    fit=st.sampled_from(sorted(FITS)),
    name=st.sampled_from(sorted(FORMATS)),
    orientation=st.integers(0, 9),
)
def test_any_recipe_makes_what_it_promises(width, height, fit, name, orientation):
    quality = FORMATS[name].quality
    wanted = recipe(width=width, height=height, fit=fit, format=name, quality=quality)
    made = render(saved(quadrants(), "JPEG", exif=oriented(orientation)), wanted, LIMITS)
    picture = opened(made.data)
    assert picture.format == FORMATS[name].pillow
    assert picture.size == (made.width, made.height)
    if fit != "outside" or width is None or height is None:
        assert width is None or made.width <= width
        assert height is None or made.height <= height
