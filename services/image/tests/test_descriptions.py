from __future__ import annotations

import base64

import numpy as np
import pytest
from image_service import placeholders
from image_service.information import survey
from image_service.palettes import palette
from PIL import Image, ImageCms

from .samples import BLUE, LIMITS, RED, gradient, opened, quadrants, saved


async def told(http, image_id: str, what: str) -> dict:
    answer = await http.get(f"/image/images/{image_id}/{what}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_is_known_of_a_picture(http, upload):
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    data = saved(quadrants(), "JPEG", exif=exif, icc_profile=profile, xmp=xmp, quality=95)
    said = await upload(data)
    info = await told(http, said.image_id, "info")
    assert (info["width"], info["height"], info["orientation"]) == (96, 64, 6)
    assert (info["mode"], info["alpha"], info["frames"]) == ("RGB", False, 1)
    assert "sRGB" in info["icc_profile"]
    assert info["xmp"] == xmp.decode()
    assert info["sha256"] == said.sha256
    assert len(info["palette"]) >= 4
    assert sum(colour["share"] for colour in info["palette"]) == pytest.approx(1, abs=0.01)
    assert all(len(each) == 16 for each in info["hashes"].values())
    assert (await told(http, said.image_id, "palette"))["colours"] == info["palette"]


async def test_a_placeholder_looks_like_the_picture(http, upload):
    said = await upload(saved(quadrants(), "PNG"), media_type="image/png")
    found = await told(http, said.image_id, "placeholder")
    assert len(found["blurhash"]) == 28
    head, _, body = found["data_uri"].partition(",")
    assert head == "data:image/webp;base64"
    tiny = opened(base64.b64decode(body)).convert("RGB")
    assert tiny.size == (16, 11)
    for at, colour in (((2, 2), RED), ((2, 8), BLUE)):
        assert np.abs(np.subtract(tiny.getpixel(at), colour)).max() < 60


async def test_it_is_looked_at_once_and_has_an_etag(http, upload):
    said = await upload(saved(gradient(), "PNG"), media_type="image/png")
    url = f"/image/images/{said.image_id}"
    first = await http.get(f"{url}/info")
    again = await http.get(f"{url}/info", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    refused = await http.get(f"{url}/palette?w=10")
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_parameter")


async def test_what_is_no_picture_has_no_information(http, upload, delete):
    said = await upload(b"no picture at all")
    answer = await http.get(f"/image/images/{said.image_id}/info")
    assert (answer.status_code, answer.json()["code"]) == (422, "corrupt_pixels")
    await delete(said.image_id)
    assert (await http.get(f"/image/images/{said.image_id}/info")).status_code in (404, 410)


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (640, 2), (64, 64)])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_picture_can_be_described(size, mode):
    kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG"
    found = survey(saved(Image.new(mode, size), kind), LIMITS)
    assert found.placeholder.blurhash
    assert found.placeholder.thumbhash
    assert found.placeholder.data_uri


def test_alike_pictures_have_hashes_alike():
    y, x = np.mgrid[0:240, 0:320]
    levels = sum(np.sin(x * n / 50 + n * n) + np.cos(y * n / 40 + x * n / 90) for n in range(1, 8))
    picture = Image.fromarray(((levels + 14) * 9).clip(0, 255).astype(np.uint8)).convert("RGB")
    one, other = (
        survey(saved(each, "JPEG"), LIMITS).information.hashes
        for each in (picture, picture.resize((200, 150)))
    )
    for name in ("average", "difference", "perception"):
        apart = int(getattr(one, name), 16) ^ int(getattr(other, name), 16)
        assert apart.bit_count() <= 8


def test_of_what_is_transparent_no_colour_is_told():
    picture = Image.new("RGBA", (8, 8), (1, 2, 3, 0))
    assert palette(picture) == []
    picture.paste((255, 0, 0, 255), (0, 0, 8, 2))
    assert [(colour.hex, colour.share) for colour in palette(picture)] == [("#ff0000", 1.0)]


def pixels_of(thumbhash: str) -> np.ndarray:
    """Return the mean colour that a ThumbHash states (its reference implementation's decoder)."""
    raw = base64.b64decode(thumbhash)
    header = raw[0] | raw[1] << 8 | raw[2] << 16
    light = (header & 63) / 63
    yellow, magenta = ((header >> shift & 63) / 31.5 - 1 for shift in (6, 12))
    blue = light - 2 / 3 * yellow
    red = (3 * light - blue + magenta) / 2
    return np.array([red, red - magenta, blue])


@pytest.mark.parametrize("colour", [(255, 0, 0), (10, 200, 90), (255, 255, 255), (0, 0, 0)])
def test_hashes_state_the_mean_colour(colour):
    pixels = np.ones((20, 30, 4))
    pixels[..., :3] = np.array(colour) / 255
    stated = pixels_of(placeholders.thumbhash(pixels))
    assert np.abs(stated * 255 - colour).max() < 9
    digits = placeholders._DIGITS
    mean = 0
    for digit in placeholders.blurhash(pixels)[2:6]:
        mean = mean * 83 + digits.index(digit)
    assert np.abs(np.array([mean >> 16, mean >> 8 & 255, mean & 255]) - colour).max() <= 1
