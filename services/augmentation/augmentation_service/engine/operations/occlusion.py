"""Operations that hide rectangles at random places: cutout, dropout, erasing, stripes."""

from __future__ import annotations

import math

import numpy as np

from augmentation_service.engine.declarations import CoveringOperation, Rectangles
from augmentation_service.engine.images import Image, Size, to_floats
from augmentation_service.engine.parameters import Choice, Colour, Integer, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.rectangles import apart, bars, joined, painted, placed

__all__ = ["COVER", "OPERATIONS", "covered"]

COVER = Colour(
    name="fill",
    description="what is seen instead; its opacity counts where the picture has transparency",
    default="#000000",
)


def covered(
    image: Image, rectangles: Rectangles, stream: Stream, *, fill: str, **_: object
) -> Image:
    """Return the picture with a colour in the rectangles."""
    del stream
    return painted(image, rectangles, fill) if len(rectangles) else image


def _cut(size: Size, stream: Stream, *, amount: float, fill: str) -> Rectangles:
    del fill
    share = math.sqrt(amount / 100)
    width, height = (math.floor(side * share + 0.5) for side in size)
    return apart([placed(size, width, height, stream)])


def _dropped(
    size: Size, stream: Stream, *, count: int, width: float, height: float, fill: str
) -> Rectangles:
    del fill
    wide = max(1, math.floor(size[0] * width / 100 + 0.5))
    high = max(1, math.floor(size[1] * height / 100 + 0.5))
    return apart(placed(size, wide, high, stream) for _ in range(count))


def _erased(
    size: Size, stream: Stream, *, area: float, ratio: float, content: str, fill: str
) -> Rectangles:
    del content, fill
    pixels = size[0] * size[1] * area / 100
    width = min(size[0], math.floor(math.sqrt(pixels * ratio) + 0.5))
    height = min(size[1], math.floor(math.sqrt(pixels / ratio) + 0.5))
    return apart([placed(size, width, height, stream)])


def _erase(
    image: Image,
    rectangles: Rectangles,
    stream: Stream,
    *,
    area: float,
    ratio: float,
    content: str,
    fill: str,
) -> Image:
    del area, ratio
    if content == "fill" or not len(rectangles):
        return covered(image, rectangles, stream, fill=fill)
    ((left, top, right, bottom),) = rectangles.tolist()
    shape = (bottom - top, right - left, image.shape[2])
    # Its place took words of the same stream: the noise begins after them.
    words = stream.words(-(-math.prod(shape) // 8)).astype("<u8", copy=False)
    noise = words.view(np.uint8)[: math.prod(shape)].reshape(shape).copy()
    noise[..., 3:] = 255
    result = image.copy()
    result[top:bottom, left:right] = noise if image.dtype == np.uint8 else to_floats(noise)
    return result


def _striped(
    size: Size, stream: Stream, *, columns: int, rows: int, width: float, fill: str
) -> Rectangles:
    del fill
    wide, high = (max(1, math.floor(side * width / 100 + 0.5)) for side in size)
    lefts = [stream.below(size[0] - wide + 1) for _ in range(columns)]
    tops = [stream.below(size[1] - high + 1) for _ in range(rows)]
    upright, level = (
        joined((start, start + extent) for start in starts)
        for starts, extent in ((lefts, wide), (tops, high))
    )
    return bars(size, upright, level)


def _side(name: str, description: str) -> Number:
    return Number(
        name=name,
        description=description,
        unit="percent of the side",
        least=0.5,
        most=100,
        default=10,
    )


OPERATIONS = (
    CoveringOperation(
        name="cutout",
        category="occlusion",
        description="Hides one rectangle with the proportions of the picture (DeVries and Taylor, "
        "2017).",
        parameters=(
            Number(
                name="amount",
                description="how large it is; 100 hides everything",
                unit="percent of the area",
                least=0,
                most=100,
            ),
            COVER,
        ),
        region=_cut,
        cover=covered,
        exact=True,
        neutral={"amount": 0.0},
        example={"amount": 15.0},
    ),
    CoveringOperation(
        name="coarse_dropout",
        category="occlusion",
        description="Hides several rectangles.",
        parameters=(
            Integer(
                name="count",
                description="how many",
                unit="rectangles",
                least=1,
                most=64,
                default=8,
            ),
            _side("width", "of each"),
            _side("height", "of each"),
            COVER,
        ),
        region=_dropped,
        cover=covered,
        exact=True,
    ),
    CoveringOperation(
        name="random_erasing",
        category="occlusion",
        description="Hides one rectangle under noise or a colour (Zhong et al., 2020).",
        parameters=(
            Number(
                name="area",
                description="how large it is",
                unit="percent of the area",
                least=0,
                most=100,
                default=15,
            ),
            Number(
                name="ratio",
                description="how wide it is, of its height, as far as the picture reaches",
                unit="factor",
                least=0.1,
                most=10,
                default=1,
            ),
            Choice(
                name="content",
                description="what is seen instead",
                choices={"noise": "random colours", "fill": "the colour `fill`"},
                default="noise",
            ),
            COVER,
        ),
        region=_erased,
        cover=_erase,
        exact=True,
        neutral={"area": 0.0},
    ),
    CoveringOperation(
        name="xy_masking",
        category="occlusion",
        description="Hides columns and rows, as SpecAugment does with times and frequencies.",
        parameters=(
            Integer(
                name="columns",
                description="how many upright stripes",
                unit="stripes",
                least=0,
                most=16,
                default=2,
            ),
            Integer(
                name="rows",
                description="how many level stripes",
                unit="stripes",
                least=0,
                most=16,
                default=2,
            ),
            _side("width", "of each stripe"),
            COVER,
        ),
        region=_striped,
        cover=covered,
        exact=True,
        neutral={"columns": 0, "rows": 0},
    ),
)
