from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_service.formats import FORMATS
from image_service.geometry import FITS
from image_service.renditions import render
from PIL import Image, ImageOps

from services.image.tests.recipes import (
    SOURCES,
    alike,
    corners,
    oriented,
    photograph,
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
    psnr,
    quadrants,
    saved,
)


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
