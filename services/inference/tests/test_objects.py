from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from imagesystem.events import FoundObject
from inference_service.objects import SIDE, find_objects
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from services.inference.tests.specimens import DATA, picture, sample

URL, EAN = "https://example.org/receipt/4711", "4006381333931"
#: GS1 General Specifications 5.2.1: the seven modules of each digit in set A.
MODULES = [
    "0001101",
    "0011001",
    "0010011",
    "0111101",
    "0100011",
    "0110001",
    "0101111",
    "0111011",
    "0110111",
    "0001011",
]
#: Which of sets A and B the six digits on the left are from, by the thirteenth digit.
PARITY = [
    "AAAAAA",
    "AABABB",
    "AABBAB",
    "AABBBA",
    "ABAABB",
    "ABBAAB",
    "ABBBAA",
    "ABABAB",
    "ABABBA",
    "ABBABA",
]


def qr_code(text: str, module: int) -> Image.Image:
    code = cv2.QRCodeEncoder.create().encode(text)
    return Image.fromarray(np.kron(code, np.ones((module, module), np.uint8)))


def bar_code(digits: str, module: int) -> Image.Image:
    def flipped(modules: str) -> str:
        return modules.translate(str.maketrans("01", "10"))

    left = [
        MODULES[int(digit)] if family == "A" else flipped(MODULES[int(digit)])[::-1]
        for digit, family in zip(digits[1:7], PARITY[int(digits[0])], strict=True)
    ]
    right = [flipped(MODULES[int(digit)]) for digit in digits[7:]]
    bits = "0" * 10 + "101" + "".join(left) + "01010" + "".join(right) + "101" + "0" * 10
    row = np.array([0 if bit == "1" else 255 for bit in bits], np.uint8)
    code = np.vstack(
        [np.full((4, len(row)), 255), np.tile(row, (40, 1)), np.full((4, len(row)), 255)]
    )
    return Image.fromarray(np.kron(code.astype(np.uint8), np.ones((module, module), np.uint8)))


def on_a_table(code: Image.Image, angle: float, at: tuple[int, int] = (330, 150)) -> Image.Image:
    scene = Image.open(DATA / "coffee.png").convert("RGB").resize((900, 600))
    mask = Image.new("L", code.size, 255).rotate(angle, expand=True)
    turned = code.convert("RGB").rotate(angle, expand=True, resample=Image.Resampling.BICUBIC)
    scene.paste(turned, at, mask)
    return scene


def found_in(image: Image.Image) -> list[FoundObject]:
    return find_objects(picture(image).reduced(SIDE)).objects


@pytest.mark.parametrize("angle", [0, 12, 90, 180, 270])
@pytest.mark.parametrize(
    ("make", "text", "label", "detector"),
    [(qr_code, URL, "qr code", "opencv-qr"), (bar_code, EAN, "bar code EAN-13", "opencv-barcode")],
)
def test_codes_are_found_and_decoded(
    make: Callable[[str, int], Image.Image], text: str, label: str, detector: str, angle: int
) -> None:
    (code,) = found_in(on_a_table(make(text, 3), angle))
    assert (code.label, code.decoded, code.detector) == (label, text, detector)
    assert code.confidence == 1
    assert len(code.polygon) == 4
    assert 320 <= code.box.x <= 440
    assert 140 <= code.box.y <= 280


def test_several_codes_are_all_found() -> None:
    scene = on_a_table(qr_code(URL, 3), 0, at=(50, 50))
    scene.paste(qr_code("second", 4).convert("RGB"), (600, 100))
    scene.paste(bar_code(EAN, 3).convert("RGB"), (300, 400))
    assert {code.decoded for code in found_in(scene)} == {URL, "second", EAN}


def test_a_person_who_stands_is_found() -> None:
    image = Image.new("RGB", (640, 480), (200, 205, 210))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 380, 640, 480), fill=(140, 140, 135))
    left, top, unit = 320, 170, 30  # eight heads high
    ink = (40, 45, 60)
    draw.ellipse((left - 13, top, left + 13, top + 33), fill=ink)
    draw.rounded_rectangle((left - 28, top + 37, left + 28, top + 126), 15, fill=ink)
    for side in (-1, 1):
        arm = sorted((left + side * 26, left + side * 39))
        draw.rounded_rectangle((arm[0], top + 42, arm[1], top + 129), 6, fill=ink)
        draw.polygon(
            [
                (left, top + 4 * unit),
                (left + side * 27, top + 4 * unit),
                (left + side * 22, top + 8 * unit),
                (left + side * 6, top + 8 * unit),
                (left, top + 5 * unit),
            ],
            fill=ink,
        )
    (person,) = found_in(image.filter(ImageFilter.GaussianBlur(1)))
    assert (person.label, person.detector) == ("person", "hog-people")
    middle = person.box.x + person.box.width / 2, person.box.y + person.box.height / 2
    assert middle == (pytest.approx(320, abs=15), pytest.approx(290, abs=25))


def test_a_cats_face_and_a_number_plate_are_found() -> None:
    (cat,) = find_objects(sample("chelsea.png").reduced(SIDE)).objects
    assert (cat.label, cat.detector) == ("cat face", "haar-frontalcatface-extended")
    plate = Image.new("RGB", (160, 34), "white")
    draw = ImageDraw.Draw(plate)
    draw.rectangle((0, 0, 159, 33), outline="black", width=2)
    draw.text((10, 1), "A123BC", fill="black", font=ImageFont.load_default(27))
    draw.line((123, 0, 123, 34), fill="black", width=2)
    draw.text((126, 2), "77", fill="black", font=ImageFont.load_default(20))
    scene = Image.open(DATA / "coffee.png").convert("RGB").resize((640, 480))
    scene = scene.filter(ImageFilter.GaussianBlur(3))
    scene.paste(plate, (250, 250))
    (found,) = found_in(scene)
    assert (found.label, found.detector) == ("number plate", "haar-plate-number")
    assert found.box.x == pytest.approx(250, abs=20)


@pytest.mark.parametrize(
    "name", ["astronaut.png", "coffee.png", "rocket.jpg", "camera.png", "hubble_deep_field.jpg"]
)
def test_nothing_is_found_where_nothing_is(name: str) -> None:
    assert find_objects(sample(name).reduced(SIDE)).objects == []


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (64, 128)])
def test_the_smallest_pictures_hold_nothing(size: tuple[int, int]) -> None:
    assert found_in(Image.new("RGB", size, "white")) == []


def test_a_qr_code_beside_other_things_is_read() -> None:
    """OpenCV's detector for several codes reads one of these alone, and not on such a page."""
    page = Image.new("RGB", (1200, 800), "white")
    page.paste(Image.open(DATA / "astronaut.png").convert("RGB"), (40, 40))
    words = ImageDraw.Draw(page)
    words.text((600, 60), "Quarterly report", fill="black", font_size=64)
    words.text((600, 160), "Revenue rose by 12 % in March.", fill="black", font_size=36)
    page.paste(qr_code("https://example.org/x?1", 8), (700, 400))
    found = find_objects(picture(page).reduced(SIDE)).objects
    assert [(item.label, item.decoded) for item in found] == [
        ("qr code", "https://example.org/x?1")
    ]
