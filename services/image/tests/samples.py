"""Small pictures whose every pixel is known, and ways to ask for renditions of them."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import numpy as np
from image_service.evidence import NOTHING, Evidence
from image_service.limits import Limits
from image_service.parameters import Recipe, Source, parse, resolve
from image_service.renditions import Rendition, describe, render
from PIL import Image

LIMITS = Limits(max_pixels=10_000_000, max_output_pixels=1_000_000, max_animation_frames=20)
RED, GREEN, BLUE, YELLOW = (220, 20, 20), (20, 200, 20), (20, 20, 220), (230, 220, 20)
NAMES = {RED: "red", GREEN: "green", BLUE: "blue", YELLOW: "yellow"}


def quadrants(width: int = 96, height: int = 64) -> Image.Image:
    """Red, green; blue, yellow."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(GREEN, (width // 2, 0, width, height // 2))
    picture.paste(BLUE, (0, height // 2, width // 2, height))
    picture.paste(YELLOW, (width // 2, height // 2, width, height))
    return picture


def gradient(width: int = 96, height: int = 64) -> Image.Image:
    """Red grows to the right, green downwards, blue along the diagonal: all levels, no edges."""
    y, x = np.mgrid[0:height, 0:width]
    bands = (x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 255 // (width + height - 2))
    return Image.fromarray(np.stack(bands, -1).astype(np.uint8))


def saved(picture: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def recipe_of(source: bytes, query: str, accept: str = "", evidence: Evidence = NOTHING) -> Recipe:
    wanted = parse(query)
    assert wanted is not None
    return resolve(wanted, describe(source, LIMITS), accept, evidence)


def made(
    source: bytes | Image.Image,
    query: str,
    evidence: Evidence = NOTHING,
    others: Mapping[str, bytes] | None = None,
) -> Rendition:
    data = source if isinstance(source, bytes) else saved(source)
    return render(data, recipe_of(data, query, evidence=evidence), LIMITS, others)


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def shown(
    source: bytes | Image.Image,
    query: str,
    evidence: Evidence = NOTHING,
    others: Mapping[str, bytes] | None = None,
) -> Image.Image:
    """Return the picture that a query makes; the size promised is the size delivered."""
    rendition = made(source, query, evidence, others)
    picture = opened(rendition.data)
    assert picture.size == (rendition.width, rendition.height)
    return picture


def of(media_type: str = "image/png", width: int = 96, height: int = 64, frames: int = 1) -> Source:
    return Source(media_type=media_type, width=width, height=height, frames=frames)


def psnr(one: Image.Image, other: Image.Image | np.ndarray) -> float:
    """Decibels between two pictures of one size; infinite where they are equal."""
    other = other if isinstance(other, np.ndarray) else np.asarray(other.convert(one.mode))
    assert np.asarray(one).shape == other.shape
    error = float(((np.asarray(one, float) - np.asarray(other, float)) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def colour_at(picture: Image.Image, x: float, y: float) -> str:
    """Return the name of the quadrant's colour at a place (shares)."""
    rgb = picture.convert("RGB")
    found = rgb.getpixel((int(rgb.width * x), int(rgb.height * y)))
    nearest = min(NAMES, key=lambda each: np.abs(np.subtract(each, found)).sum())
    return NAMES[nearest]


def corners(picture: Image.Image) -> str:
    """Return the first letters of the quadrants' colours: `rgby` is upright."""
    places = ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8))
    return "".join(colour_at(picture, x, y)[0] for x, y in places)
