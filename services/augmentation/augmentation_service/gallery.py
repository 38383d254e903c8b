"""What operations look like: a picture that is drawn here, before and after each of them."""

from __future__ import annotations

import asyncio
from typing import Any

import cv2
import numpy as np
from imagesystem.errors import Rejected
from imagesystem.workers import WorkerPool

from augmentation_service import pictures, sheets
from augmentation_service.engine import REGISTRY, Image, Operation, Source, apply, parse
from augmentation_service.engine.parameters import Choice, Colour, Parameter, Toggle, Value

__all__ = ["Gallery", "example", "parameters_of", "scene"]

_TILE = 256
_SEED = 8
_DEADLINE_S = 30.0


class Gallery:
    """Examples, each made once, when it is asked for first."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._made: dict[str, bytes] = {}
        self._turns: dict[str, asyncio.Lock] = {name: asyncio.Lock() for name in REGISTRY}

    async def example(self, name: str) -> bytes:
        """Return an operation's example as WebP; raises `Rejected` 404 `unknown_operation`."""
        if name not in self._turns:
            raise Rejected(404, "unknown_operation", f"there is no operation {name[:64]!r}")
        async with self._turns[name]:
            if name not in self._made:
                self._made[name] = await self._pool.run(
                    example, name, deadline_s=_DEADLINE_S, called="example"
                )
            return self._made[name]


def example(name: str) -> bytes:
    """Return the sample and what an operation makes of it, side by side, as WebP."""
    operation = REGISTRY[name]
    recipe = parse([{"operation": name, "parameters": parameters_of(operation)}])
    before = scene(0)
    others = [
        Source(image=scene(number), source=f"scene {number}")
        for number in range(1, operation.pictures)
    ]
    made = apply(recipe, before, seed=_SEED, source="scene 0", others=others)
    tiles = [sheets.fitted(picture, _TILE) for picture in (before, made.image)]
    return pictures.encode(sheets.page(tiles, _TILE), pictures.FORMATS["webp"], 85)


def parameters_of(operation: Operation) -> dict[str, Any]:
    """Return parameters that show what an operation does."""
    shown = {p.name: _middle(p) for p in operation.parameters if p.default is None}
    return shown | operation.example


def _middle(parameter: Parameter) -> Value:
    if isinstance(parameter, Choice):
        return next(iter(parameter.choices))
    if isinstance(parameter, Toggle):
        return True
    if isinstance(parameter, Colour):
        return "#d04030"
    return parameter.check(parameter.least + (parameter.most - parameter.least) // 4)


def scene(number: int) -> Image:
    """Return a drawn landscape, uint8 (192, 256, 3): edges, flat parts, ramps, texture, colours."""
    width, height = 256, 192
    y, x = np.mgrid[:height, :width].astype(np.float32)
    sky = np.stack([90 + 100 * y / height, 150 + 60 * y / height, 235 - 40 * y / height], axis=-1)
    if number:
        sky = np.roll(sky, number, axis=-1)
    hills = 120 + 14 * np.sin(x / (23 + 9 * number)) + 6 * np.sin(x / 7 + number)
    grain = np.random.Generator(np.random.Philox(number)).integers(0, 40, (height, width, 1))
    grass = np.concatenate([50 + grain, 110 + grain, 40 + grain // 2], axis=-1)
    image = np.where((y > hills)[..., None], grass, sky).clip(0, 255).astype(np.uint8)
    cv2.circle(image, (200 - 60 * number, 40), 20, (255, 220, 90), -1, cv2.LINE_AA)
    left = 40 + 50 * number
    cv2.rectangle(image, (left, 96), (left + 64, 150), (190, 60, 50), -1)
    roof = np.array([[left - 8, 96], [left + 32, 62], [left + 72, 96]], np.int32)
    cv2.fillPoly(image, [roof], (90, 50, 40), cv2.LINE_AA)
    for row in (104, 128):
        for column in (10, 40):
            cv2.rectangle(
                image, (left + column, row), (left + column + 14, row + 14), (245, 240, 200), -1
            )
    cv2.putText(
        image, f"No {number + 1}", (160, 180), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2
    )
    return image
