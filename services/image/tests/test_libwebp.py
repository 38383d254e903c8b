from __future__ import annotations

import io

import numpy as np
import pytest
from image_service import decoding, libwebp
from image_service.parameters import Recipe, Source
from image_service.places import decoded_bytes
from imagesystem.errors import Rejected
from PIL import Image

from services.image.tests.samples import LIMITS, gradient, psnr, saved

SOLID = gradient(300, 200)
CLEAR = SOLID.convert("RGBA")
CLEAR.putalpha(gradient(300, 200).convert("L"))
STILL = {
    "colours": saved(SOLID, "WEBP"),
    "alpha": saved(CLEAR, "WEBP"),
    "lossless": saved(CLEAR, "WEBP", lossless=True),
    "with metadata": saved(SOLID, "WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
}
ALL, LARGE = (0, 0, 300, 200), (300, 200)


def pillows(source: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(source))
    image.load()
    return image


@pytest.mark.parametrize("name", STILL)
def test_the_pixels_are_those_of_pillow(name):
    found = libwebp.decode(STILL[name], LARGE, LARGE)
    reference = pillows(STILL[name])
    assert found is not None
    assert found.mode == reference.mode
    seen = np.asarray(reference.convert("RGBA"))[..., 3] > 0
    assert np.array_equal(np.asarray(found)[seen], np.asarray(reference)[seen])


@pytest.mark.parametrize("name", STILL)
def test_a_smaller_size_is_the_average(name):
    found = libwebp.decode(STILL[name], LARGE, (100, 50))
    reference = pillows(STILL[name]).reduce((3, 4))
    assert found is not None
    assert found.size == (100, 50)
    assert psnr(found.convert("RGB"), reference.convert("RGB")) > 38


def test_a_part_is_where_it_was():
    """The box in what was decoded at a fraction is that of the picture."""
    source = saved(gradient(1003, 701), "WEBP", quality=95)
    image = decoding.open_(source, LIMITS)
    decoded, box = decoding.pixels(image, (503, 101, 903, 501), (20, 20), LIMITS)
    assert decoded.size == (65, 46)  # 1.3 times what is wanted
    assert box == pytest.approx((503 * 65 / 1003, 101 * 46 / 701, 903 * 65 / 1003, 501 * 46 / 701))
    cut = decoded.resize((20, 20), Image.Resampling.BOX, box)
    whole = gradient(1003, 701).resize((20, 20), Image.Resampling.BOX, (503, 101, 903, 501))
    assert psnr(cut, whole) > 38


def test_what_moves_and_what_is_broken_is_left_to_pillow():
    moving = saved(SOLID, "WEBP", save_all=True, append_images=[SOLID.rotate(180)])
    assert libwebp.decode(moving, LARGE, LARGE) is None
    assert libwebp.decode(STILL["colours"], (299, 200), (299, 200)) is None
    broken = STILL["colours"][:-300]
    assert libwebp.decode(broken, LARGE, LARGE) is None
    with pytest.raises(Rejected) as caught:
        decoding.pixels(decoding.open_(broken, LIMITS), ALL, LARGE, LIMITS)
    assert caught.value.code == "corrupt_pixels"


def test_what_is_made_small_takes_little_room():
    large = Source(media_type="image/webp", width=4000, height=3000)
    whole = decoded_bytes(large, Recipe(format="webp"))
    assert whole == 4000 * 3000 * 7
    # a tenth of its shorter side is wanted
    assert decoded_bytes(large, Recipe(format="webp", width=300)) == 390 * 520 * 7
    assert decoded_bytes(large, Recipe(format="webp", width=1500)) == whole
    assert decoded_bytes(large, Recipe(format="webp", width=300, trim=1.0)) == whole
