from __future__ import annotations

import numpy as np
import pytest
from image_service import resampling
from image_service.resampling import RESAMPLER, resize
from PIL import Image

SIZES = [(100, 75), (40, 30), (250, 190), (1, 1), (3, 150)]
BOXES = [(0, 0, 200, 150), (10.3, 20.7, 171.1, 133.5), (199, 149, 200, 150), (0, 0, 66.6, 150)]


def textured(mode: str) -> Image.Image:
    """Waves of all lengths in every band, some transparent where there is alpha."""
    y, x = np.mgrid[0:150, 0:200]
    bands = [
        127.5 + 90 * np.sin(x * x / (300.0 + 40 * band)) * np.cos(y / (3.0 + band)) + 30 * band / 4
        for band in range(4)
    ]
    return Image.fromarray(np.stack(bands, -1).clip(0, 255).astype(np.uint8)).convert(mode)


def apart(one: Image.Image, other: Image.Image) -> float:
    """Return the PSNR in dB; of colours, as much as they are seen."""
    assert (one.mode, one.size) == (other.mode, other.size)
    if one.mode in ("LA", "RGBA"):
        one, other = (
            picture.convert({"LA": "La", "RGBA": "RGBa"}[one.mode]) for picture in (one, other)
        )
    difference = np.asarray(one).astype(float) - np.asarray(other).astype(float)
    return float(10 * np.log10(255**2 / max(1e-3, (difference**2).mean())))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK", "LAB", "YCbCr"])
@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("size", SIZES)
def test_it_is_lanczos(mode, box, size):
    picture = textured("RGB").convert("LAB") if mode == "LAB" else textured(mode)
    expected = picture.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    assert apart(resize(picture, size, box), expected) > 42


def test_what_is_transparent_gives_no_colour_away():
    picture = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 32, 64))
    small = np.asarray(resize(picture, (9, 9), (0, 0, 64, 64)))
    assert small[small[..., 3] > 8][..., 0].max() < 8


def test_its_own_size_is_left_alone():
    picture = textured("RGB")
    assert resize(picture, picture.size, (0, 0, *picture.size)) is picture


@pytest.mark.skipif(RESAMPLER == "pillow", reason="no SIMD resampler for this machine")
def test_without_simd_it_looks_the_same(monkeypatch):
    picture = textured("RGB")
    fast = resize(picture, (90, 70), (1, 2, 199, 148))
    monkeypatch.setattr(resampling, "simd", None)
    assert apart(resize(picture, (90, 70), (1, 2, 199, 148)), fast) > 45
