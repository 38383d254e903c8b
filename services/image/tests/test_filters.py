from __future__ import annotations

import numpy as np
import pytest
from image_service.filters import FILTERS
from PIL import Image, ImageFilter

from services.image.tests.samples import gradient, made, psnr, saved, shown

LUMA = np.array([0.299, 0.587, 0.114])
COLOURS = np.asarray(gradient(), float)
GREY = COLOURS @ LUMA


def _grey3(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, -1)


def _blurred(sigma: float) -> np.ndarray:
    """A Gaussian by its definition, edges repeated."""
    radius = int(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    values = np.pad(COLOURS, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    for axis in (0, 1):
        values = np.apply_along_axis(np.convolve, axis, values, kernel, "valid")
    return values


def _boxed(radius: int) -> np.ndarray:
    values = np.pad(COLOURS, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    side = 2 * radius + 1
    return np.lib.stride_tricks.sliding_window_view(values, (side, side), (0, 1)).mean((-1, -2))


def _pixelated(side: int) -> np.ndarray:
    height, width, _ = COLOURS.shape
    small = COLOURS.reshape(height // side, side, width // side, side, 3).mean((1, 3))
    return small.repeat(side, 0).repeat(side, 1)


SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
DARK, LIGHT = np.array([30, 27, 75.0]), np.array([253, 230, 138.0])
#: What each filter makes of the gradient, by its definition; None: see below.
GOLDEN = {
    "gamma=2": 255 * (COLOURS / 255) ** 0.5,
    "brightness=20": COLOURS + 51,
    "contrast=50": (COLOURS - 127.5) * 1.5 + 127.5,
    "saturation=-100": _grey3(GREY),
    "saturation=100": 2 * COLOURS - _grey3(GREY),
    "hue=0.0001": COLOURS,
    "grayscale": _grey3(GREY),
    "sepia": COLOURS @ SEPIA.T,
    "sepia=50": (COLOURS + COLOURS @ SEPIA.T) / 2,
    "tint=1e90ff": _grey3(GREY) + np.array([30, 144, 255]) - np.array([30, 144, 255]) @ LUMA,
    "duotone=1e1b4b,fde68a": DARK + GREY[..., None] / 255 * (LIGHT - DARK),
    "invert": 255 - COLOURS,
    "posterize=1": np.where(COLOURS >= 127.6, 255.0, 0.0),
    "solarize=128": np.where(COLOURS >= 128, 255 - COLOURS, COLOURS),
    "blur=3": _blurred(3),
    "box_blur=2": _boxed(2),
    "pixelate=8": _pixelated(8),
    # a smooth picture is its own median, and has nothing to sharpen
    "median=3": COLOURS,
    "autocontrast": COLOURS,
}


@pytest.mark.parametrize("query", GOLDEN)
def test_filters_do_what_their_definition_says(query):
    picture = shown(gradient(), query).convert("RGB")
    assert psnr(picture, np.clip(GOLDEN[query], 0, 255)) > 38


def _step() -> Image.Image:
    """Dark grey left, light grey right."""
    picture = Image.new("RGB", (40, 40), (80, 80, 80))
    picture.paste((170, 170, 170), (20, 0, 40, 40))
    return picture


@pytest.mark.parametrize(
    ("query", "flat", "at_the_edge"),
    [
        ("edge", 0, 90),
        ("contour", 255, -90),
        ("emboss", 128, 90),
    ],
)
def test_filters_that_find_edges(query, flat, at_the_edge):
    values = np.asarray(shown(_step(), query).convert("L"), int)
    assert values[20, 10] == flat
    assert values[20, 30] == flat
    along = values[20, 17:23] - flat
    assert (along.max() if at_the_edge > 0 else -along.min()) >= abs(at_the_edge)


@pytest.mark.parametrize("query", ["edge", "contour", "emboss"])
def test_the_border_of_a_picture_is_no_edge(query):
    values = np.asarray(shown(_step(), query).convert("L"), int)
    assert (values[0] == values[20]).all()
    assert (values[:, 0] == values[20, 10]).all()
    assert (values[:, -1] == values[20, 30]).all()


@pytest.mark.parametrize("query", ["sharpen=2", "unsharp=2,200,0"])
def test_sharpening_overshoots_at_edges_alone(query):
    values = np.asarray(shown(_step(), query).convert("L"), int)
    assert values[20, 5] == 80
    assert values[20, 35] == 170
    assert values[20].min() < 70
    assert values[20].max() > 180


def test_an_unsharp_mask_with_a_threshold_leaves_weak_edges():
    assert shown(_step(), "unsharp=2,200,120").tobytes() == shown(_step(), "format=png").tobytes()


def test_a_median_takes_specks_away():
    picture = Image.new("RGB", (20, 20), (90, 90, 90))
    picture.putpixel((10, 10), (255, 255, 255))
    assert shown(picture, "median=3").convert("RGB").getpixel((10, 10)) == (90, 90, 90)


@pytest.mark.parametrize("side", [3, 5, 7, 9])
@pytest.mark.parametrize("size", [(40, 30), (1, 1), (3, 50), (2, 4)])
def test_a_median_is_that_of_the_square_around_each_pixel(side, size):
    values = np.random.default_rng(side).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    picture = Image.fromarray(values)
    for one in (picture, picture.convert("L")):
        reference = one.filter(ImageFilter.MedianFilter(side))
        assert shown(one, f"median={side}").tobytes() == reference.tobytes()


def test_autocontrast_reaches_black_and_white():
    extrema = shown(_step(), "autocontrast").convert("L").getextrema()
    assert extrema == (0, 255)


def test_equalize_spreads_the_levels():
    ramp = np.tile((np.arange(128) // 4 + 100).astype(np.uint8), (32, 1))
    values = np.asarray(shown(Image.fromarray(ramp), "equalize").convert("L"))
    assert values.min() < 12
    assert values.max() > 243


def test_hue_turns_red_to_green_and_back():
    red = Image.new("RGB", (8, 8), (200, 60, 60))
    turned = shown(red, "hue=120").convert("RGB").getpixel((4, 4))
    assert turned[1] > turned[0] > 0
    assert shown(red, "hue=360").convert("RGB").getpixel((4, 4)) == (200, 60, 60)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "CMYK", "1"])
def test_every_filter_takes_every_picture(name, mode):
    picture = gradient(40, 30).quantize(16) if mode == "P" else gradient(40, 30).convert(mode)
    source = saved(picture, "TIFF" if mode == "CMYK" else "PNG")
    assert shown(source, f"{name}={FILTERS[name].example}&format=png").size == (40, 30)


@pytest.mark.parametrize("name", FILTERS)
def test_filters_leave_transparency_to_what_blurs(name):
    picture = gradient(40, 30).convert("RGBA")
    picture.putalpha(Image.new("L", (40, 30), 255))
    picture.paste((0, 255, 0, 0), (0, 0, 20, 30))
    alpha = shown(picture, f"{name}={FILTERS[name].example}").getchannel("A")
    assert alpha.getpixel((1, 15)) < 40
    assert alpha.getpixel((38, 15)) > 215
    if not FILTERS[name].spatial:
        assert alpha.tobytes() == picture.getchannel("A").tobytes()


def test_what_is_invisible_does_not_bleed():
    picture = Image.new("RGBA", (40, 30), (0, 255, 0, 0))
    picture.paste((255, 0, 0, 255), (20, 0, 40, 30))
    pixels = np.asarray(shown(picture, "blur=4"), int)
    seen = pixels[..., 3] > 30
    assert pixels[seen][:, 1].max() < 15


def test_many_curves_and_matrices_are_one_pass_and_round_once():
    """Darkened and lightened again is what it was: no levels lost on the way."""
    back = shown(gradient(), "gamma=0.5&brightness=0&contrast=0")
    again = shown(gradient(), "gamma=0.5&brightness=0&contrast=0&hue=0&saturation=0")
    assert back.tobytes() == again.tobytes()


def test_a_filter_that_does_nothing_changes_nothing():
    query = "gamma=1&brightness=0&contrast=0&saturation=0&blur=0&grayscale=false&sepia=false"
    assert made(gradient(), query + "&format=png") == made(gradient(), "format=png")


def test_greys_are_stored_as_greys():
    assert shown(gradient(), "grayscale").mode == "L"
    assert shown(gradient().convert("RGBA"), "saturation=-100").mode == "L"
    assert shown(gradient(), "grayscale&sepia").mode == "RGB"
    assert len(made(gradient(), "grayscale").data) < len(made(gradient(), "sepia").data)
