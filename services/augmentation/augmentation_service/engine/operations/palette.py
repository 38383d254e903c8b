"""Operations that leave few colours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image
from augmentation_service.engine.parameters import Integer
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

#: Colours are told apart by so many bits of each channel.
_BITS = 5
_CODES = 1 << (3 * _BITS)


def _quantised(image: Image, stream: Stream, *, colours: int) -> Image:
    del stream
    rgb = image if image.shape[2] == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    red, green, blue = (plane.astype(np.uint16) >> (8 - _BITS) for plane in cv2.split(rgb))
    codes = (red << (2 * _BITS)) | (green << _BITS) | blue
    counts = np.bincount(codes.reshape(-1), minlength=_CODES)
    palette = _median_cut(counts, colours)
    packed = palette[:, 0] | (palette[:, 1] << 8) | (palette[:, 2] << 16) | (255 << 24)
    pixels = np.take(packed.astype("<u4"), codes, mode="clip")
    chosen = pixels.view(np.uint8).reshape(*codes.shape, 4)
    if image.shape[2] == 1:
        return np.ascontiguousarray(chosen[..., :1])
    return cv2.cvtColor(chosen, cv2.COLOR_RGBA2RGB)


def _median_cut(counts: NDArray[np.int64], colours: int) -> NDArray[np.int64]:
    """Return the colour of each code, (codes, 3): means of boxes that were halved in turn.

    Heckbert: Color image quantization for frame buffer display, SIGGRAPH 1982. The box that is
    halved next is the one with the most pixels times its longest side.
    """
    codes = np.flatnonzero(counts)
    mask = (1 << _BITS) - 1
    places = np.stack([(codes >> shift) & mask for shift in (2 * _BITS, _BITS, 0)], axis=1)
    weights = counts[codes]
    boxes = [np.arange(len(codes))]
    priorities = [_priority(places, weights)]
    while len(boxes) < colours and max(priorities):
        widest = int(np.argmax(priorities))
        box = boxes[widest]
        axis = int(np.argmax(np.ptp(places[box], axis=0)))
        order = box[np.argsort(places[box, axis], kind="stable")]
        below = np.cumsum(weights[order])
        middle = int(np.searchsorted(below, (below[-1] + 1) // 2)) + 1
        halves = order[:middle], order[middle:]
        if not len(halves[1]):
            halves = order[:-1], order[-1:]
        boxes[widest : widest + 1] = halves
        priorities[widest : widest + 1] = [
            _priority(places[half], weights[half]) for half in halves
        ]
    palette = np.zeros((len(counts), 3), np.int64)
    for box in boxes:
        total = int(weights[box].sum())
        # The middle of each code's eight levels.
        levels = (places[box] << (8 - _BITS)) + (1 << (7 - _BITS))
        palette[codes[box]] = ((levels * weights[box, None]).sum(axis=0) + total // 2) // total
    return palette


def _priority(places: NDArray[np.int64], weights: NDArray[np.int64]) -> int:
    return int(np.ptp(places, axis=0).max()) * int(weights.sum())


OPERATIONS = (
    PixelOperation(
        name="colour_quantise",
        category="colour",
        description="Leaves a few colours, chosen by the median cut of those that are there.",
        parameters=(
            Integer(
                name="colours",
                description="how many, at most",
                unit="colours",
                least=1,
                most=256,
                default=16,
            ),
        ),
        function=_quantised,
        eight_bits=True,
        exact=True,
        cost="medium",
        example={"colours": 6},
    ),
)
