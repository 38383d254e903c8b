from __future__ import annotations

import itertools

import pytest
from imagesystem.events import Text
from inference_service import text
from inference_service.text import read_text
from PIL import Image, ImageDraw, ImageFont
from rapidocr.utils.model_resolver import list_supported_langs
from rapidocr.utils.typings import ModelType, OCRVersion, TaskType

from services.inference.tests.specimens import DATA, picture, sample

LINES = (
    "The quick brown fox jumps",
    "over 13 lazy dogs, twice.",
    "Invoice No. 4711: total 89.50",
)
#: What the networks' makers call languages, where that is no ISO 639-1 code.
ISO = {
    "ch": "zh",
    "chinese_cht": "zh",
    "french": "fr",
    "german": "de",
    "japan": "ja",
    "rs_latin": "sr",
}
SIZES, ANGLES = (12, 16, 24, 60), (0, 5, 90, 180, 270)
INKS = (("black", "white"), ("white", "#203040"), ("#777777", "#bbbbbb"), ("#c02020", "#f0e0a0"))
#: Every size and every angle, each with one of the inks in turn.
CASES = [
    (size, angle, *INKS[number % len(INKS)])
    for number, (size, angle) in enumerate(itertools.product(SIZES, ANGLES))
]


def page(size: int, angle: float, ink: str = "black", paper: str = "white") -> Image.Image:
    """Return a page of `LINES`, turned clockwise."""
    font = ImageFont.load_default(size)
    step = round(size * 1.6)
    width = round(max(font.getlength(line) for line in LINES)) + 4 * size
    image = Image.new("RGB", (width, step * len(LINES) + 3 * size), paper)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(LINES):
        draw.text((2 * size, 1.5 * size + number * step), line, fill=ink, font=font)
    turned = Image.Resampling.BICUBIC
    return image.rotate(-angle, expand=True, resample=turned, fillcolor=paper)


def distance(one: str, other: str) -> int:
    """Return how many characters must be changed (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        above = i - 1
        row[0] = i
        for j, b in enumerate(other, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]


def read_right(found: Text) -> float:
    wanted = "\n".join(LINES)
    return 1 - distance(found.text, wanted) / len(wanted)


@pytest.mark.parametrize(("size", "angle", "ink", "paper"), CASES)
def test_text_is_read_whatever_its_size_direction_and_colours(
    size: int, angle: int, ink: str, paper: str
) -> None:
    found = read_text(picture(page(size, angle, ink, paper)))
    assert read_right(found) >= 0.95, found.text
    # turned clockwise by this, it stands upright
    assert found.rotation == (0 if angle == 5 else -angle % 360)


def test_lines_lie_where_they_are_written() -> None:
    image = page(24, 90)
    found = read_text(picture(image))
    assert (found.width, found.height) == image.size
    first = found.lines[0]
    assert first.text == LINES[0]
    start, end = first.polygon[0], first.polygon[1]
    # letters turned clockwise by a quarter: the first line is the one on the right, read downwards
    assert start.x > image.width * 0.6
    assert end.y - start.y > image.height * 0.5
    assert abs(end.x - start.x) < 5
    assert first.box.relative.height == pytest.approx(first.box.height / image.height, abs=1e-3)
    assert first.confidence > 0.9


def test_columns_of_prose_are_read_one_by_one_and_prices_with_their_row() -> None:
    font = ImageFont.load_default(20)
    image = Image.new("RGB", (900, 460), "white")
    draw = ImageDraw.Draw(image)
    draw.text((300, 10), "One title above both", fill="black", font=font)
    for number in range(4):
        draw.text((30, 60 + number * 34), f"left column line {number}", fill="black", font=font)
        draw.text((520, 60 + number * 34), f"right column line {number}", fill="black", font=font)
    for number, (what, price) in enumerate((("Tea", "2.50"), ("Apple pie", "4.20"))):
        draw.text((30, 340 + number * 40), what, fill="black", font=font)
        draw.text((700, 340 + number * 40), price, fill="black", font=font)
    assert read_text(picture(image)).text.splitlines() == [
        "One title above both",
        *(f"left column line {number}" for number in range(4)),
        *(f"right column line {number}" for number in range(4)),
        "Tea 2.50",
        "Apple pie 4.20",
    ]


def test_more_than_a_fact_can_hold_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MOST_BYTES", 60)
    found = read_text(picture(page(24, 0)))
    assert found.text.splitlines() == list(LINES[:2])
    assert [line.text for line in found.lines] == list(LINES[:2])
    assert found.truncated
    monkeypatch.setattr(text, "MOST_LINES", 1)
    found = read_text(picture(page(24, 0)))
    assert (len(found.lines), found.truncated) == (1, True)


def test_the_languages_that_can_be_read_are_listed() -> None:
    languages = read_text(picture(page(24, 0))).languages
    named = list_supported_langs(TaskType.REC, OCRVersion.PPOCRV6, ModelType.SMALL)
    assert languages == sorted({ISO.get(name, name) for name in named})
    assert {"en", "de", "fr", "zh", "ja"} <= set(languages)


@pytest.mark.parametrize(
    "name", ["coffee.png", "rocket.jpg", "chelsea.png", "camera.png", "hubble_deep_field.jpg"]
)
def test_photographs_without_text_have_none(name: str) -> None:
    assert read_text(sample(name)).lines == []


@pytest.mark.parametrize("lighter", [2, 4, 6])
def test_a_cup_in_its_saucer_is_no_eight(lighter: int) -> None:
    cup = Image.open(DATA / "coffee.png").convert("RGB")
    brighter = cup.point([min(255, level + lighter) for level in range(256)] * 3)
    assert read_text(picture(brighter)).lines == []


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3), (64, 64)])
def test_the_smallest_pictures_are_read_too(size: tuple[int, int]) -> None:
    found = read_text(picture(Image.new("RGB", size, "white")))
    assert (found.text, found.lines, found.truncated) == ("", [], False)
