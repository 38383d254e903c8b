from __future__ import annotations

from urllib.parse import urlencode

import numpy as np
import pytest
from image_service import lettering
from image_service.parameters import parse
from imagesystem import ids
from imagesystem.errors import Rejected
from PIL import Image, ImageDraw

from services.image.tests.samples import LIMITS, gradient, made, opened, recipe_of, saved, shown

MARK = ids.image_id(b"mark")
GREY = Image.new("RGB", (200, 100), (100, 100, 100))


def marked(query: str, mark: Image.Image | None = None, base: Image.Image = GREY) -> np.ndarray:
    mark = mark or Image.new("RGB", (20, 20), (255, 0, 0))
    picture = shown(base, f"watermark={MARK}&{query}", others={MARK: saved(mark)})
    return np.asarray(picture.convert("RGB"), int)


def where(values: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(values[..., 0] > 110)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    ("position", "box"),
    [
        ("northwest", (3, 3, 23, 23)),
        ("north", (90, 3, 110, 23)),
        ("northeast", (177, 3, 197, 23)),
        ("west", (3, 40, 23, 60)),
        ("centre", (90, 40, 110, 60)),
        ("east", (177, 40, 197, 60)),
        ("southwest", (3, 77, 23, 97)),
        ("south", (90, 77, 110, 97)),
        ("southeast", (177, 77, 197, 97)),
    ],
)
def test_a_watermark_stands_where_it_should(position, box):
    values = marked(f"watermark_position={position}&watermark_scale=0.1&watermark_opacity=1")
    assert where(values) == box
    assert values[box[1] + 5, box[0] + 5].tolist() == [255, 0, 0]


def test_opacity_and_its_defaults():
    values = marked("watermark_scale=0.1&watermark_opacity=0.4")
    assert np.abs(values[85, 185] - [162, 60, 60]).max() <= 1
    assert np.abs(marked("watermark_scale=0.1")[85, 185] - [178, 50, 50]).max() <= 1


def test_scale_is_a_share_of_the_width_and_stays_within_the_picture():
    assert where(marked("watermark_scale=0.25&watermark_opacity=1")) == (147, 47, 197, 97)
    tall = Image.new("RGB", (10, 400), (255, 0, 0))
    left, top, right, bottom = where(marked("watermark_scale=1&watermark_opacity=1", tall))
    assert (top, bottom) == (0, 100)
    assert right - left <= 3


def test_tiles_cover_the_picture():
    values = marked("watermark_tile&watermark_scale=0.1&watermark_opacity=1")
    red = values[..., 0] > 200
    assert 0.3 < red.mean() < 0.6
    for part in (red[:50, :100], red[50:, :100], red[:50, 100:], red[50:, 100:]):
        assert part.any()


def test_a_transparent_mark_shows_what_is_below():
    mark = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    mark.paste((255, 0, 0, 255), (0, 0, 10, 20))
    values = marked("watermark_scale=0.1&watermark_opacity=1&watermark_position=northwest", mark)
    assert values[10, 5].tolist() == [255, 0, 0]
    assert values[10, 20].tolist() == [100, 100, 100]


def test_a_mark_is_upright_too():
    mark = Image.new("RGB", (40, 20), (255, 0, 0))
    mark.paste((0, 0, 255), (20, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = shown(
        GREY,
        f"watermark={MARK}&watermark_opacity=1&watermark_scale=0.1&watermark_position=northwest",
        others={MARK: saved(mark, exif=exif)},
    )
    assert picture.convert("RGB").getpixel((10, 8)) == (255, 0, 0)
    assert picture.convert("RGB").getpixel((10, 36)) == (0, 0, 255)


def test_a_recipe_names_the_images_it_shows():
    source = saved(GREY)
    assert recipe_of(source, f"watermark={MARK}").sources() == (MARK,)
    assert recipe_of(source, "width=10").sources() == ()
    assert recipe_of(source, f"watermark={MARK}&watermark_opacity=0&w=5").sources() == ()


def test_text_is_written_where_it_should_be():
    values = np.asarray(shown(GREY, "text=Hello&text_size=20&text_position=north").convert("RGB"))
    white = (values > 240).all(2)
    rows, columns = np.nonzero(white)
    assert white.sum() > 60
    assert rows.max() < 40
    assert abs((columns.min() + columns.max()) / 2 - 100) < 3
    # and on its box
    assert values[rows.min() + 3, columns.min() - 4].max() < 60


def test_text_is_what_the_font_draws():
    query = "text=Hy&text_size=30&text_colour=red&text_background=0000&text_position=northwest"
    picture = shown(GREY, query).convert("RGB")
    reference = GREY.copy()
    font = lettering.font(30)
    left, top, *_ = font.getbbox("Hy")
    ImageDraw.Draw(reference).text((3 + 10 - left, 3 + 10 - top), "Hy", font=font, fill="red")
    assert np.abs(np.asarray(picture, int) - np.asarray(reference, int)).max() <= 2


@pytest.mark.parametrize("text", ["Schön", "Žluťoučký", "Ελλάδα", "Привет", "€ 5 – ½"])
def test_letters_of_many_languages_are_drawn(text):
    """Each by its own picture, not by the box of what a font has not."""
    drawn = [shown(GREY, f"text={letter}&text_size=40").tobytes() for letter in set(text) - {" "}]
    assert len(set(drawn)) == len(set(text) - {" "})


def test_a_letter_may_come_in_parts():
    assert made(GREY, "text=Scho%CC%88n") == made(GREY, "text=Sch%C3%B6n")


@pytest.mark.parametrize("text", ["你好", "😀", "שלום", "\u202eabc"])
def test_what_cannot_be_drawn_is_refused(text):
    with pytest.raises(Rejected) as caught:
        parse(urlencode({"text": text}))
    assert (caught.value.code, caught.value.limit) == ("invalid_parameter", "text")
    assert "Latin, Greek or Cyrillic" in str(caught.value.allowed)


def test_long_text_wraps_and_stays_within_the_picture():
    words = "+".join(["word"] * 30)
    values = np.asarray(shown(GREY, f"text={words}&text_size=16").convert("RGB"))
    rows = np.flatnonzero((values > 240).all(2).any(1))
    assert rows.max() - rows.min() > 40
    assert shown(Image.new("RGB", (9, 7)), "text=" + "x" * 200 + "&text_size=1000").size == (9, 7)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "gif"])
def test_rounded_corners(name):
    picture = shown(GREY, f"round=20&format={name}&bg=0000ff&q=95").convert("RGBA")
    assert picture.getpixel((100, 50))[:3] != (0, 0, 255)
    corner = picture.getpixel((0, 0))
    if name == "jpeg":
        assert corner[2] > 230
        assert corner[0] < 40
    else:
        assert corner[3] == 0
    assert picture.getpixel((100, 1))[3] == 255


@pytest.mark.parametrize("size", [(200, 100), (99, 100), (64, 64), (1, 9)])
def test_a_circle_is_round(size):
    picture = shown(Image.new("RGB", size, "red"), "circle&format=png").convert("RGBA")
    alpha = np.asarray(picture.getchannel("A"), float) / 255
    radius = min(size) // 2
    if radius < 2:
        return
    assert alpha.sum() == pytest.approx(np.pi * radius**2, rel=0.05)
    y, x = np.mgrid[0 : size[1], 0 : size[0]] + 0.5
    distance = np.hypot(x - size[0] / 2, y - size[1] / 2)
    assert alpha[distance < radius - 2].min() == 1
    assert alpha[distance > radius + 2].max(initial=0) == 0


def test_a_round_corner_larger_than_the_picture_is_half_of_it():
    assert made(GREY, "round=5000").data == made(GREY, "round=50").data


def test_what_is_drawn_is_drawn_on_every_format():
    for name in ("jpeg", "png", "webp", "avif", "gif", "tiff", "bmp"):
        query = f"text=Hi&watermark={MARK}&round=9&w=80&format={name}"
        others = {MARK: saved(gradient())}
        assert opened(made(GREY, query, others=others).data).size == (80, 40)
    assert LIMITS.max_animation_frames == 20
