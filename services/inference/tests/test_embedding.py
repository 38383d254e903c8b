from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from inference_service.embedding import DIMENSIONS, describe, embed
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from services.inference.tests.specimens import DATA, picture

SAMPLES = sorted(path for path in DATA.iterdir() if path.suffix in (".png", ".jpg"))
GENERATED = 300


def colour(random: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(level) for level in random.integers(0, 256, 3))
    return red, green, blue


def shapes(random: np.random.Generator, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), colour(random))
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(2, 9)):
        x, y, size = (int(n) for n in random.integers(20, min(width, height), 3))
        kind = draw.ellipse if random.random() < 0.5 else draw.rectangle
        kind((x - size // 2, y - size // 3, x + size // 2, y + size // 3), fill=colour(random))
    return image


def clouds(random: np.random.Generator, width: int, height: int) -> Image.Image:
    noise = random.normal(size=(height // 8 + 2, width // 8 + 2, 3)).astype(np.float32)
    smooth = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return Image.fromarray(np.clip(128 + 60 * smooth, 0, 255).astype(np.uint8))


def writing(random: np.random.Generator, width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    letters = list("abcdefghij klmno pqrstuvw")
    for line in range(12):
        text = "".join(random.choice(letters, int(random.integers(10, 40))))
        draw.text((10, 8 + line * height // 13), text, fill="black")
    return image


def crops(random: np.random.Generator, width: int, height: int) -> Image.Image:
    whole = Image.open(SAMPLES[int(random.integers(len(SAMPLES)))]).convert("RGB")
    share = random.uniform(0.3, 0.5)
    wide, high = int(whole.width * share), int(whole.height * share)
    left = int(random.integers(0, whole.width - wide))
    top = int(random.integers(0, whole.height - high))
    return whole.crop((left, top, left + wide, top + high)).resize((width, height))


KINDS = (shapes, clouds, writing, crops)


@pytest.fixture(scope="module")
def gallery() -> list[Image.Image]:
    random = np.random.default_rng(7)
    made = [
        KINDS[number % len(KINDS)](random, *(int(side) for side in random.integers(160, 280, 2)))
        for number in range(GENERATED)
    ]
    return [*(Image.open(path).convert("RGB") for path in SAMPLES), *made]


@pytest.fixture(scope="module")
def vectors(gallery: list[Image.Image]) -> NDArray[np.float32]:
    return np.array([describe(np.asarray(image)) for image in gallery])


def recompressed(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=30)
    return Image.open(stream).convert("RGB")


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def cropped(image: Image.Image) -> Image.Image:
    left, top = round(image.width * 0.05), round(image.height * 0.05)
    return image.crop((left, top, image.width, image.height))


@pytest.mark.parametrize("change", [recompressed, half, cropped])
def test_copies_are_closest_to_their_original(
    gallery: list[Image.Image],
    vectors: NDArray[np.float32],
    change: Callable[[Image.Image], Image.Image],
) -> None:
    changed = np.array([describe(np.asarray(change(image))) for image in gallery])
    nearest = (changed @ vectors.T).argmax(axis=1)
    assert np.mean(nearest == np.arange(len(gallery))) >= 0.98


def test_the_vector_is_of_length_one_and_the_same_each_time() -> None:
    image = picture(Image.open(SAMPLES[0]))
    one, other = embed(image), embed(image)
    assert one == other
    assert one.dimensions == DIMENSIONS
    vector: NDArray[Any] = np.frombuffer(one.vector, "<f4")
    assert vector.shape == (DIMENSIONS,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (64, 64)])
@pytest.mark.parametrize("paint", ["white", "black", "#808080"])
def test_blank_pictures_have_one_too(size: tuple[int, int], paint: str) -> None:
    vector = describe(np.asarray(Image.new("RGB", size, paint)))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
