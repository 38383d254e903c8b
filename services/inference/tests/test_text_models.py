"""Text read by models that were brought: networks of PP-OCR's shape in the place of the shipped."""

from __future__ import annotations

from importlib.resources import as_file, files

import msgspec
import numpy as np
import pytest
from imagesystem.errors import ImageSystemError
from imagesystem.events import Text
from imagesystem.models import BadModel, Shelf
from inference_service import text
from inference_service.decoding import Picture
from inference_service.networks.host import Host
from inference_service.networks.network import check_answer, model_of
from inference_service.text import read_text
from inference_service.text.direction import logical
from inference_service.text.engine import RECOGNISER

from services.inference.tests import onnx_models
from services.inference.tests.hosted import say
from services.inference.tests.onnx_models import install
from services.inference.tests.specimens import picture
from services.inference.tests.test_text import page

COLOURS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255)}


def line(colours: str) -> Picture:
    """Return a white picture with a line of coloured blocks: what the made reader can read."""
    pixels = np.full((128, 640, 3), 255, np.uint8)
    for number, colour in enumerate(colours):
        left = 64 + 56 * number
        pixels[40:88, left : left + 40] = COLOURS[colour]
        if number < len(colours) - 1:  # they hang together by what is too thin to be read
            pixels[60:68, left : left + 56] = COLOURS[colour]
    return Picture(pixels=pixels, width=640, height=128)


def reader(shelf: Shelf, characters: str = "abc", **more: object) -> None:
    parts = {
        "image": onnx_models.line_reader(characters),
        "detector": onnx_models.line_detector(),
    }
    install(shelf, "reader", "ppocr", ("text",), parts, **more)  # type: ignore[arg-type]


def test_a_line_is_found_and_read_by_a_model_with_its_languages(host: Host) -> None:
    reader(host.shelf, languages=("ko", "en"))
    said = say(host, "text", "reader", line("rgrb"))
    assert isinstance(said, Text)
    assert (said.text, said.languages) == ("abac", ["ko", "en"])
    (found,) = said.lines
    assert found.confidence > 0.9
    assert abs(found.box.x - 64) < 32
    assert abs(found.box.width - (3 * 56 + 40)) < 64


def test_the_characters_may_be_a_file_of_their_own(host: Host) -> None:
    parts = {
        "image": onnx_models.line_reader(told=False),
        "detector": onnx_models.line_detector(),
        "characters": b"x\r\ny\r\nz\r\n",
    }
    install(host.shelf, "reader", "ppocr", ("text",), parts)  # type: ignore[arg-type]
    assert say(host, "text", "reader", line("rgb")).text == "xyz"


def test_the_shipped_detector_finds_lines_where_a_model_has_none(host: Host) -> None:
    """The shipped reader, as a model of one's own, reads what it reads anyway."""
    with as_file(files("rapidocr").joinpath("models", RECOGNISER)) as path:
        parts = {"image": path.read_bytes()}
    install(host.shelf, "own", "ppocr", ("text",), parts, languages=("en",))  # type: ignore[arg-type]
    seen = picture(page(24, 180))
    said = say(host, "text", "own", seen)
    assert said.languages == ["en"]
    assert msgspec.structs.replace(said, languages=[]) == msgspec.structs.replace(
        read_text(seen), languages=[]
    )


def test_a_reader_is_slow_and_sees_large_pictures(host: Host) -> None:
    reader(host.shelf)
    model = model_of("text", host.shelf.model("reader"), host)
    assert model.slow
    assert model.side == text.SIDE


def test_what_is_read_from_right_to_left_is_told_in_that_order(host: Host) -> None:
    reader(host.shelf, "אבג")
    assert say(host, "text", "reader", line("rgrb")).text == "גאבא"


@pytest.mark.parametrize(
    ("seen", "read"),
    [
        ("abc 12", "abc 12"),
        ("גבא", "אבג"),
        ("גבא 12", "12 אבג"),
        ("12.50 גבא", "אבג 12.50"),
        ("הודג New בא", "אב New גדוה"),
        ("The word דה גבא, twice", "The word אבג הד, twice"),
        ("(גבא)", "(אבג)"),
        ("", ""),
    ],
)
def test_words_and_numbers_stay_as_they_are_among_them(seen: str, read: str) -> None:
    assert logical(seen) == read


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"image": onnx_models.line_reader("ab")}, "with 2 characters"),
        ({"image": onnx_models.line_reader(told=False)}, "does not say which characters"),
        ({"image": onnx_models.line_reader(), "characters": b"\xff"}, "no list of characters"),
        ({"image": onnx_models.line_detector()}, "does not say which characters"),
        (
            {"image": onnx_models.line_reader(), "detector": onnx_models.line_reader()},
            "its detector says|Got invalid dimensions",
        ),
        (
            {"image": onnx_models.classifier(), "characters": b"a"},
            r"made|says \\(1, 3\\)|Got invalid dimensions",
        ),
        (
            {"image": onnx_models.line_reader(), "detector": onnx_models.classifier()},
            "its detector says|Got invalid dimensions",
        ),
    ],
)
def test_a_model_that_cannot_read_is_told(host: Host, parts: dict[str, bytes], told: str) -> None:
    spec = install(host.shelf, "reader", "ppocr", ("text",), parts)  # type: ignore[arg-type]
    with pytest.raises(BadModel, match=told):
        check_answer(model_of("text", spec, host), host)


def test_languages_are_codes_of_what_reads() -> None:
    with pytest.raises(ImageSystemError, match="no ISO 639-1 code"):
        onnx_models.described("ppocr", ("text",), languages=("Korean",))
    with pytest.raises(ImageSystemError, match="reads no language"):
        onnx_models.described("yunet", ("faces",), languages=("ko",))
