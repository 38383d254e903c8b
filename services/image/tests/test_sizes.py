from __future__ import annotations

import numpy as np
import pytest
from imagesystem.errors import Rejected
from PIL import Image, ImageOps

from services.image.tests.samples import (
    LIMITS,
    colour_at,
    corners,
    gradient,
    made,
    opened,
    psnr,
    quadrants,
    saved,
    shown,
)


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("width=48", (48, 32)),
        ("w=48&dpr=1.5", (72, 48)),
        ("w=48&zoom=0.5", (24, 16)),
        ("zoom=0.25", (24, 16)),
        ("zoom=2", (96, 64)),
        ("zoom=2&enlarge", (192, 128)),
        ("dpr=3", (96, 64)),
        ("w=200", (96, 64)),
        ("w=200&enlarge", (200, 133)),
        ("h=200&el=true", (300, 200)),
        ("w=200&h=200&enlarge", (200, 133)),
        ("w=200&h=200&enlarge&fit=outside", (300, 200)),
        ("w=200&h=200&enlarge&fit=cover", (200, 200)),
        ("w=200&h=200&enlarge&fit=fill", (200, 200)),
        ("w=200&h=200&enlarge&fit=contain", (200, 200)),
        ("w=200&h=200&enlarge&fit=scale-down", (96, 64)),
        ("w=48&h=48&preserve_ratio=false", (48, 48)),
        ("w=48&ar=1:1", (48, 48)),
        ("h=32&ar=2", (64, 32)),
        ("ar=1:1", (64, 64)),
        ("ar=1:1&fit=contain", (96, 96)),
        ("ar=2:1&zoom=0.5", (48, 24)),
        ("w=30&min_height=32", (48, 32)),
        ("w=30&min_height=500", (96, 64)),
        ("w=30&min_height=128&enlarge", (192, 128)),
        ("max_width=24", (24, 16)),
        ("w=48&max_height=16", (24, 16)),
        ("w=48&h=48&fit=cover&max_width=24", (24, 24)),
        ("w=48&padding=4", (56, 40)),
        ("w=48&padding=4,8", (64, 40)),
        ("w=48&padding=1,2,3,4", (54, 36)),
        ("w=24&dpr=2&padding=4", (64, 48)),
        ("w=48&h=48&extend", (48, 48)),
        ("w=200&h=100&extend", (200, 100)),
        ("w=200&h=100&fit=cover&extend", (200, 100)),
        ("rotate=90", (64, 96)),
        ("rotate=-90&w=32", (32, 48)),
        ("rotate=180", (96, 64)),
        ("rotate=45", (114, 114)),
        ("rotate=45&w=57", (57, 57)),
        ("rotate=30&w=40&h=40&fit=cover", (40, 40)),
        ("crop=0,0,48,64&rotate=90&h=24", (32, 24)),
        ("crop=0.25,0.25,0.5,0.5", (48, 32)),
        ("crop=90,60,100,100", (6, 4)),
    ],
)
def test_the_size_is_what_was_asked_for(query, size):
    assert shown(quadrants(), query).size == size


@pytest.mark.parametrize(
    ("query", "letters"),
    [
        ("flip", "byrg"),
        ("flop", "gryb"),
        ("flip&flop", "ybgr"),
        ("rotate=90", "bryg"),
        ("rotate=180", "ybgr"),
        ("rotate=270", "gyrb"),
        ("rotate=-90", "gyrb"),
        ("rotate=90&flop", "ygbr"),
        ("flip&rotate=90", "rbgy"),
        ("rotate=90&w=20&h=30&fit=fill", "bryg"),
    ],
)
def test_turning_and_mirroring(query, letters):
    assert corners(shown(quadrants(), query)) == letters


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_upright_whatever_else_is_asked_for(orientation):
    """For all eight EXIF values: crops, turns and gravity are of the upright picture."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = saved(gradient(120, 80), exif=exif)
    upright = ImageOps.exif_transpose(opened(source))
    for query in (
        "crop=10,20,30,40",
        "crop=0.1,0.2,0.5,0.25&w=20",
        "w=20&h=50&fit=cover&gravity=north",
        "w=20&h=50&fit=cover&gravity=0.2,0.9",
        "rotate=90&w=31",
        "flip&rotate=33&w=40",
        "redact=10,10,20,20&redact_with=fill",
    ):
        turned, straight = shown(source, query), shown(saved(upright), query)
        assert psnr(turned.convert("RGB"), straight.convert("RGB")) > 42


def test_as_stored_when_told_so():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert shown(saved(quadrants(), exif=exif), "orient=false").size == (96, 64)
    assert corners(shown(saved(quadrants(), exif=exif), "orient=false")) == "rgby"


@pytest.mark.parametrize("degrees", [10, 33, 77, 130, 200, 315])
def test_any_angle_shows_what_pillow_shows(degrees):
    picture = gradient(120, 80)
    turned = shown(picture, f"rotate={degrees}&bg=black").convert("RGB")
    whole = picture.convert("RGBA").rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
    reference = Image.new("RGBA", whole.size, "black")
    reference.alpha_composite(whole)
    assert abs(turned.width - whole.width) <= 1
    assert psnr(turned, reference.convert("RGB").resize(turned.size)) > 24


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_a_turned_picture_has_no_colours_that_it_had_not(mode):
    """No line of light along its edges, whatever is behind them."""
    colour = (180, 90, 60)
    over = shown(Image.new("RGB", (90, 60), colour).convert(mode), "rotate=33&w=70&bg=b45a3c")
    behind = np.asarray(over.convert("RGB"), int)
    seen = colour if mode.startswith("RGB") else (113, 113, 113)
    for levels in (behind.min((0, 1)), behind.max((0, 1))):
        assert all(
            min(pair) - 1 <= level <= max(pair) + 1
            for level, pair in zip(levels, zip(seen, colour, strict=True), strict=True)
        )
    # what is half seen is on a smooth edge
    alpha = np.asarray(shown(quadrants(), "rotate=33&w=70").getchannel("A"))
    assert len(np.unique(alpha)) > 20


def test_corners_of_a_turned_picture_are_transparent_or_background():
    assert shown(quadrants(), "rotate=45").getpixel((2, 2))[3] == 0
    assert shown(quadrants(), "rotate=45&bg=0000ff").getpixel((2, 2)) == (0, 0, 255)
    jpeg = shown(quadrants(), "rotate=45&format=jpeg&q=95").getpixel((2, 2))
    assert min(jpeg) > 245


@pytest.mark.parametrize(
    ("query", "colour"),
    [
        ("w=48&h=48&fit=contain&bg=ff8800", (255, 136, 0)),
        ("w=48&h=48&fit=contain&bg=ff8800&format=jpeg&q=100&subsampling=4:4:4", (255, 136, 0)),
        ("w=48&h=48&extend&bg=ff8800", (255, 136, 0)),
        ("w=40&padding=8&bg=ff8800", (255, 136, 0)),
    ],
)
def test_the_background_is_around_the_picture(query, colour):
    picture = shown(quadrants(), query).convert("RGB")
    assert np.abs(np.subtract(picture.getpixel((2, 2)), colour)).max() <= 6
    assert corners(picture.crop((10, 12, 38, 32))) == "rgby"


def test_transparent_pixels_show_the_background():
    picture = Image.new("RGBA", (20, 20), (255, 0, 0, 128))
    assert shown(picture, "bg=0000ff").getpixel((10, 10)) == (128, 0, 127)
    assert shown(picture, "bg=0000ff&format=jpeg&q=100").getpixel((10, 10))[2] > 110


def test_auto_is_the_colour_of_most_of_the_edge():
    picture = Image.new("RGB", (60, 40), (10, 120, 40))
    picture.paste(quadrants(40, 24), (10, 8))
    made_ = shown(picture, "w=60&h=60&fit=contain&bg=auto").convert("RGB")
    assert made_.getpixel((30, 2)) == (10, 120, 40)


def test_a_blurred_background_is_opaque_and_of_the_picture():
    picture = shown(quadrants(), "w=48&h=96&fit=contain&bg=blur")
    assert picture.mode == "RGB"
    assert colour_at(picture, 0.1, 0.05) == "red"
    assert colour_at(picture, 0.9, 0.95) == "yellow"


def test_a_blurred_background_shows_nothing_but_the_picture():
    """Not the white of what is transparent: the corners of a turned picture, cut-outs."""
    dark = Image.new("RGB", (90, 60), (30, 20, 10))
    cut_out = Image.new("RGBA", (90, 60), (255, 255, 255, 0))
    cut_out.paste((30, 20, 10, 255), (30, 20, 60, 40))
    for picture, query in ((dark, "rotate=30"), (cut_out, "w=60"), (cut_out, "padding=9")):
        behind = shown(picture, f"{query}&bg=blur")
        assert behind.mode == "RGB"
        assert np.abs(np.asarray(behind, int) - (30, 20, 10)).max() <= 3


@pytest.mark.parametrize(
    ("gravity", "at"), [("north", 0), ("south", 16), ("centre", 8), ("center", 8), ("0.5,1", 16)]
)
def test_gravity_places_what_is_padded(gravity, at):
    picture = shown(quadrants(), f"w=48&h=48&fit=contain&gravity={gravity}&bg=black")
    rows = np.flatnonzero(np.asarray(picture.convert("RGB")).max(2).max(1) > 50)
    assert (rows[0], len(rows)) == (at, 32)


def test_enlarging_makes_up_pixels_smoothly():
    picture = shown(gradient(24, 16), "w=96&enlarge").convert("RGB")
    assert psnr(picture, gradient(24, 16).resize((96, 64), Image.Resampling.LANCZOS)) > 40


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("w=16000&dpr=8&enlarge", "output_too_large"),
        ("w=2000&h=2000&enlarge", "output_too_large"),
        ("w=90&padding=4096", "output_too_large"),
        ("crop=96,0,10,10", "outside_the_picture"),
        ("zoom=16&enlarge", "output_too_large"),
        ("w=1&h=2000&fit=cover&rotate=10&enlarge", "output_too_large"),
        ("fit=cover&preserve_ratio=false&w=5&h=5", "conflicting_parameters"),
        ("fit=fill&preserve_ratio=true&w=5&h=5", "conflicting_parameters"),
        ("w=5&h=5&ar=1", "conflicting_parameters"),
    ],
)
def test_what_is_too_much_or_nonsense(query, code):
    with pytest.raises(Rejected) as caught:
        made(quadrants(), query)
    assert (caught.value.status, caught.value.code) == (400, code)
    assert caught.value.allowed is not None
    assert LIMITS.max_output_pixels == 1_000_000
