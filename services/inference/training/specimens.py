"""Specimens of photos, graphics and documents, made from a seed: what `kind` is learned from.

Photos are crops of the sample photographs, altered as people alter them, and noise with the
spectrum of natural scenes. Graphics are charts, logos, shapes, gradients, maps and screens.
Documents are text pages of many sizes, tables and receipts, drawn clean or "scanned": rotated a
little, lit unevenly, with noise and compression.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["KINDS", "PHOTOGRAPHS", "Specimen", "specimens"]

Random: TypeAlias = np.random.Generator
Pixels: TypeAlias = NDArray[np.uint8]
#: kind, what made it (a photograph's name or a function's), pixels uint8 (h, w, 3)
Specimen: TypeAlias = tuple[str, str, Pixels]

DATA = Path(__file__).parents[3] / "tests" / "data"
PHOTOGRAPHS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg")
SKIES = ("hubble_deep_field.jpg",)
TEXT = (
    "the of and a to in is you that it he was for on are as with his they at be this have from "
    "or one had by word but not what all were we when your can said there use an each which she "
    "do how their if will up other about out many then them these so some her would make like "
    "him into time has look two more write go see number no way could people my than first "
    "water been call who oil its now find long down day did get come made may part Invoice "
    "Total 12.50 Section 3.1 Abstract Results 2024 Conclusions Dear Madam, Sincerely (see "
    "Figure 2) 1,204.00"
)
WORDS = TEXT.split()


def specimens(count: int, seed: int) -> Iterator[Specimen]:
    """Yield `count` specimens of each kind; the same seed gives the same pixels."""
    for kind, makers in KINDS.items():
        for index in range(count):
            random = np.random.default_rng([seed, *kind.encode(), index])
            maker = makers[index % len(makers)]
            name, image = maker(random)
            yield kind, name, np.asarray(_handled(image.convert("RGB"), random), np.uint8)


def _handled(image: Image.Image, random: Random) -> Image.Image:
    """Resize, blur and recompress as pictures are on their way through the world."""
    if random.random() < 0.4:
        scale = random.uniform(0.5, 1.3)
        size = (max(16, int(image.width * scale)), max(16, int(image.height * scale)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    if random.random() < 0.5:
        image = _compressed(image, int(random.integers(40, 96)))
    return image


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def _size(random: Random) -> tuple[int, int]:
    return int(random.integers(240, 900)), int(random.integers(240, 900))


def _colour(random: Random, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = random.integers(low, high, 3).tolist()
    return red, green, blue


def _noisy(image: Image.Image, random: Random, sigma: float) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    grain = random.normal(0, sigma, (*pixels.shape[:2], 1 if random.random() < 0.5 else 3))
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


# --- photos ---------------------------------------------------------------------------------


def _photograph(names: tuple[str, ...]) -> Callable[[Random], tuple[str, Image.Image]]:
    def maker(random: Random) -> tuple[str, Image.Image]:
        name = names[int(random.integers(len(names)))]
        image = Image.open(DATA / name).convert("RGB")
        share = random.uniform(0.35, 1.0)
        width, height = int(image.width * share), int(image.height * random.uniform(0.35, 1.0))
        left = int(random.integers(0, image.width - width + 1))
        top = int(random.integers(0, image.height - height + 1))
        image = image.crop((left, top, left + width, top + height))
        return name, _altered(image, random)

    return maker


def _altered(image: Image.Image, random: Random) -> Image.Image:
    pixels = np.asarray(image, np.float32) / 255
    pixels = pixels ** random.uniform(0.6, 1.6) * random.uniform(0.8, 1.2)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + (pixels - grey) * (0 if random.random() < 0.15 else random.uniform(0.5, 1.4))
    image = Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2.5)))
    return _noisy(image, random, random.uniform(1, 12)) if random.random() < 0.3 else image


def _natural(random: Random) -> tuple[str, Image.Image]:
    """Noise whose spectrum falls as natural scenes' do (1/f^1 to 1/f^2), coloured."""
    width, height = _size(random)
    fall = random.uniform(1.0, 2.0)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]
    amplitude = 1 / np.maximum(np.hypot(rows, columns), 1 / max(width, height)) ** fall
    fields = []
    for _ in range(3):
        phase = np.exp(2j * np.pi * random.random((height, width)))
        field = np.real(np.fft.ifft2(amplitude * phase))
        fields.append((field - field.mean()) / (field.std() + 1e-9))
    shared = np.stack([fields[0] + random.uniform(0, 0.5) * field for field in fields], axis=2)
    base, spread = random.uniform(60, 190, 3), random.uniform(15, 60)
    pixels = np.clip(base + shared * spread, 0, 255).astype(np.uint8)
    return "natural texture", _noisy(Image.fromarray(pixels), random, random.uniform(0.5, 4))


def _scene(random: Random) -> tuple[str, Image.Image]:
    """Out-of-focus light and ground under a sky: smooth, with a sensor's grain."""
    width, height = _size(random)
    top, bottom = np.array(_colour(random, 90)), np.array(_colour(random, 0, 160))
    ramp = np.linspace(0, 1, height)[:, None, None]
    pixels = np.broadcast_to(top * (1 - ramp) + bottom * ramp, (height, width, 3)).copy()
    for _ in range(int(random.integers(3, 25))):
        centre = (int(random.integers(width)), int(random.integers(height)))
        colour = _colour(random)
        layer = pixels.copy()
        cv2.circle(layer, centre, int(random.integers(8, height // 3)), colour, -1)
        pixels = pixels + (layer - pixels) * random.uniform(0.2, 0.9)
    pixels = cv2.GaussianBlur(pixels, (0, 0), random.uniform(2, 12))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return "blurred scene", _noisy(image, random, random.uniform(1, 6))


# --- graphics -------------------------------------------------------------------------------


def _font(random: Random, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _label(random: Random, words: int) -> str:
    return " ".join(WORDS[int(i)] for i in random.integers(0, len(WORDS), words))


def _chart(random: Random) -> tuple[str, Image.Image]:
    width, height = _size(random)
    paper = (255, 255, 255) if random.random() < 0.7 else _colour(random, 0, 60)
    ink = (40, 40, 40) if paper[0] > 128 else (220, 220, 220)
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    style = int(random.integers(3))
    colours = [_colour(random, 20, 240) for _ in range(8)]
    if style == 0:
        count = int(random.integers(3, 14))
        step = width * 0.8 / count
        for index in range(count):
            left, top = width * 0.1 + index * step, height * random.uniform(0.15, 0.85)
            box = (left, top, left + step * random.uniform(0.5, 0.95), height * 0.9)
            draw.rectangle(box, fill=colours[index % 8 if random.random() < 0.3 else 0])
    elif style == 1:
        start, radius = 0.0, min(width, height) * 0.4
        box = (width / 2 - radius, height / 2 - radius, width / 2 + radius, height / 2 + radius)
        for index, share in enumerate(random.dirichlet(np.ones(int(random.integers(3, 8))))):
            draw.pieslice(box, start, start + share * 360, fill=colours[index])
            start += share * 360
    else:
        for index in range(int(random.integers(1, 5))):
            xs = np.linspace(width * 0.1, width * 0.9, int(random.integers(5, 60)))
            ys = height * (0.5 + 0.35 * np.clip(np.cumsum(random.normal(0, 0.2, len(xs))), -1, 1))
            points = list(zip(xs.tolist(), ys.tolist(), strict=True))
            draw.line(points, fill=colours[index], width=int(random.integers(2, 8)))
    for place in np.linspace(0.15, 0.9, int(random.integers(3, 9))):
        if style != 1:
            y = height * place
            draw.line((width * 0.1, y, width * 0.9, y), fill=tuple(c // 2 + 64 for c in ink))
        draw.text((4, height * place), _label(random, 1), fill=ink, font=_font(random, 14))
    draw.text((width * 0.2, 6), _label(random, 4), fill=ink, font=_font(random, height / 18))
    return "chart", image


def _logo(random: Random) -> tuple[str, Image.Image]:
    width, height = _size(random)
    scale = 3
    paper = (255, 255, 255) if random.random() < 0.5 else _colour(random)
    image = Image.new("RGB", (width * scale, height * scale), paper)
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(1, 9))):
        colour = _colour(random)
        x, y = random.uniform(0, width * scale), random.uniform(0, height * scale)
        size = random.uniform(0.08, 0.5) * min(width, height) * scale
        shape = int(random.integers(4))
        if shape == 0:
            draw.ellipse((x - size, y - size, x + size, y + size), fill=colour)
        elif shape == 1:
            draw.rounded_rectangle((x - size, y - size, x + size, y + size / 2), size / 5, colour)
        elif shape == 2:
            draw.regular_polygon((x, y, size), int(random.integers(3, 9)), fill=colour)
        else:
            draw.arc((x - size, y - size, x + size, y + size), 20, 300, colour, int(size / 4))
    if random.random() < 0.6:
        text = _label(random, int(random.integers(1, 3)))
        size = random.uniform(0.08, 0.25) * height * scale
        draw.text((width, height), text, fill=_colour(random), font=_font(random, size))
    return "logo", image.resize((width, height), Image.Resampling.LANCZOS)


def _gradient(random: Random) -> tuple[str, Image.Image]:
    width, height = _size(random)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    angle = random.uniform(0, 2 * np.pi)
    along = np.cos(angle) * columns / width + np.sin(angle) * rows / height
    if random.random() < 0.4:
        along = np.hypot(columns / width - random.random(), rows / height - random.random())
    along = (along - along.min()) / (np.ptp(along) + 1e-9)
    first, second = np.array(_colour(random)), np.array(_colour(random))
    pixels = first + along[:, :, None] * (second - first)
    image = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(0, 5))):
        x, y, size = random.uniform(0, width), random.uniform(0, height), random.uniform(10, 120)
        draw.ellipse((x - size, y - size, x + size, y + size), fill=_colour(random))
    if random.random() < 0.6:
        text = _label(random, int(random.integers(1, 5)))
        draw.text((width / 8, height / 3), text, fill=_colour(random), font=_font(random, 40))
    return "gradient", image


def _map(random: Random) -> tuple[str, Image.Image]:
    width, height = _size(random)
    count = int(random.integers(8, 60))
    centres = random.random((count, 2)) * (height, width)
    rows, columns = np.mgrid[0:height, 0:width]
    nearest = np.full((height, width), np.inf)
    owner = np.zeros((height, width), int)
    for index, (y, x) in enumerate(centres):
        distance = (rows - y) ** 2 + (columns - x) ** 2
        owner[distance < nearest] = index
        nearest = np.minimum(nearest, distance)
    palette = np.array([_colour(random, 90) for _ in range(int(random.integers(3, 9)))])
    image = Image.fromarray(palette[owner % len(palette)].astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for y, x in centres[: count // 3]:
        draw.text((x, y), _label(random, 1), fill=(30, 30, 30), font=_font(random, 13))
    for _ in range(int(random.integers(0, 6))):
        points = (random.random((6, 2)) * (width, height)).ravel().tolist()
        draw.line(points, fill=_colour(random), width=int(random.integers(1, 7)))
    return "map", image


def _screen(random: Random) -> tuple[str, Image.Image]:
    """A window of some program: bars, cards, buttons, icons, a few words."""
    width, height = _size(random)
    dark = random.random() < 0.5
    paper, ink = ((30, 32, 38), (225, 225, 230)) if dark else ((246, 247, 250), (40, 44, 52))
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    accent = _colour(random, 30, 230)
    draw.rectangle((0, 0, width, height * 0.09), fill=accent)
    draw.rectangle((0, height * 0.09, width * 0.2, height), fill=_colour(random, 20, 120))
    draw.text((8, 6), _label(random, 2), fill=(255, 255, 255), font=_font(random, 18))
    for row in range(int(random.integers(1, 4))):
        for column in range(int(random.integers(1, 4))):
            left, top = width * (0.24 + 0.25 * column), height * (0.14 + 0.28 * row)
            box = (left, top, left + width * 0.22, top + height * 0.24)
            shade = tuple(min(255, max(0, c + (14 if dark else -14))) for c in paper)
            draw.rounded_rectangle(box, 8, fill=shade)
            centre = (left + 14, top + 14)
            draw.ellipse((*centre, centre[0] + 34, centre[1] + 34), fill=_colour(random))
            draw.text((left + 8, top + 56), _label(random, 2), fill=ink, font=_font(random, 12))
    return "screen", image


# --- documents ------------------------------------------------------------------------------

HANDS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)


def _paper(random: Random) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return the colours of paper and ink."""
    if random.random() < 0.08:  # a page shown light on dark
        return (28, 28, 30), (225, 225, 225)
    white = int(random.integers(225, 256))
    paper = (white, white - int(random.integers(0, 8)), white - int(random.integers(0, 22)))
    shade = int(random.integers(0, 70))
    return paper, (shade, shade, shade + int(random.integers(0, 40)))


def _page(random: Random) -> tuple[str, Image.Image]:
    width = int(random.integers(450, 1000))
    height = int(width * random.uniform(0.7, 1.5))
    paper, ink = _paper(random)
    image = Image.new("RGB", (width, height), paper)
    size = random.uniform(9, 30)
    columns = 2 if size < 16 and random.random() < 0.4 else 1
    margin = width * random.uniform(0.05, 0.14)
    for column in range(columns):
        left = margin + column * (width - 2 * margin) / columns
        _write(
            image,
            random,
            (left, margin),
            width=(width - 2 * margin) / columns - 8,
            size=size,
            ink=ink,
        )
    return "text page", image


def _write(
    image: Image.Image,
    random: Random,
    place: tuple[float, float],
    *,
    width: float,
    size: float,
    ink: tuple[int, int, int],
) -> None:
    """Fill a column with paragraphs, in type or in one of OpenCV's single-line hands."""
    draw = ImageDraw.Draw(image)
    hand = HANDS[int(random.integers(len(HANDS)))] if random.random() < 0.35 else None
    pixels = np.asarray(image).copy() if hand is not None else None
    left, y = place
    per_line = max(2, int(width / (size * 2.6)))
    spacing = size * random.uniform(1.2, 1.9)
    while y < image.height - 2 * size:
        heading = random.random() < 0.06
        words = 3 if heading else per_line if random.random() < 0.85 else per_line // 2 + 1
        text = _label(random, words)
        if random.random() < 0.12:
            y += spacing
        if pixels is not None and hand is not None:
            scale = size / 26
            text = text[: max(4, int(width / (size * 0.68)))]
            cv2.putText(pixels, text, (int(left), int(y + size)), hand, scale, ink, 1, cv2.LINE_AA)
        else:
            text = text[: max(4, int(width / (size * (0.9 if heading else 0.52))))]
            draw.text((left, y), text, fill=ink, font=_font(random, size * (1.5 if heading else 1)))
        y += spacing * (1.5 if heading else 1)
    if pixels is not None:
        image.paste(Image.fromarray(pixels))


def _table(random: Random) -> tuple[str, Image.Image]:
    width, height = int(random.integers(450, 950)), int(random.integers(400, 1100))
    paper, ink = _paper(random)
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    size = random.uniform(10, 20)
    rows, columns = int(height / (size * 2.2)), int(random.integers(3, 7))
    for row in range(1, rows):
        y = row * size * 2.2
        if random.random() < 0.7:
            draw.line((width * 0.05, y, width * 0.95, y), fill=ink)
        for column in range(columns):
            x = width * (0.06 + 0.9 * column / columns)
            text = _label(random, 2)[: int(width * 0.8 / columns / (size * 0.5))]
            draw.text((x, y + size * 0.4), text, fill=ink, font=_font(random, size))
    return "table", image


def _receipt(random: Random) -> tuple[str, Image.Image]:
    width, height = int(random.integers(220, 380)), int(random.integers(500, 1000))
    paper, ink = _paper(random)
    image = Image.new("RGB", (width, height), paper)
    size = random.uniform(11, 18)
    _write(image, random, (width * 0.06, 12), width=width * 0.88, size=size, ink=ink)
    return "receipt", image


def _scanned(
    maker: Callable[[Random], tuple[str, Image.Image]],
) -> Callable[[Random], tuple[str, Image.Image]]:
    def scan(random: Random) -> tuple[str, Image.Image]:
        name, image = maker(random)
        corner = image.getpixel((0, 0))
        turn = float(random.normal(0, 2.0))
        image = image.rotate(turn, Image.Resampling.BICUBIC, fillcolor=corner)
        if random.random() < 0.6:
            image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.3)))
        pixels = np.asarray(image, np.float32)
        height, width = pixels.shape[:2]
        light = np.linspace(random.uniform(0.7, 1), 1, width)[None, :, None]
        light = light * np.linspace(1, random.uniform(0.75, 1), height)[:, None, None]
        image = Image.fromarray(np.clip(pixels * light, 0, 255).astype(np.uint8))
        image = _noisy(image, random, random.uniform(1, 9))
        return f"scanned {name}", image

    return scan


KINDS: dict[str, tuple[Callable[[Random], tuple[str, Image.Image]], ...]] = {
    "photo": (
        _photograph(PHOTOGRAPHS),
        _photograph(PHOTOGRAPHS),
        _photograph(PHOTOGRAPHS),
        _photograph(SKIES),
        _natural,
        _scene,
    ),
    "graphic": (_chart, _logo, _gradient, _map, _screen),
    "document": (
        _page,
        _table,
        _receipt,
        _scanned(_page),
        _scanned(_page),
        _scanned(_table),
        _scanned(_receipt),
    ),
}
