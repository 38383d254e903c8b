"""Operations that move whole pixels to whole pixels of the same canvas: flip, transpose, D4."""

from __future__ import annotations

from typing import TypeAlias

import cv2

from augmentation_service.engine.declarations import GeometricOperation
from augmentation_service.engine.images import Image, Size, with_channels
from augmentation_service.engine.moves import Affine, Move
from augmentation_service.engine.parameters import Choice
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

#: Where x and y go (the 2 x 2 matrix), and what OpenCV calls it: whether rows become columns
#: first, then which way to flip (None: not at all).
_Turn: TypeAlias = tuple[tuple[tuple[int, int], tuple[int, int]], bool, int | None]

#: The eight ways of laying a picture on a table.
_TURNS: dict[str, _Turn] = {
    "none": (((1, 0), (0, 1)), False, None),
    "quarter": (((0, 1), (-1, 0)), True, 0),
    "half": (((-1, 0), (0, -1)), False, -1),
    "three_quarters": (((0, -1), (1, 0)), True, 1),
    "flip_x": (((1, 0), (0, -1)), False, 0),
    "flip_y": (((-1, 0), (0, 1)), False, 1),
    "transpose": (((0, 1), (1, 0)), True, None),
    "antitranspose": (((0, -1), (-1, 0)), True, -1),
}


def _move(size: Size, turn: str) -> Affine:
    linear, swaps, _ = _TURNS[turn]
    after = (size[1], size[0]) if swaps else size
    return Affine.about_middle(size, after, linear)


def _turned(image: Image, turn: str) -> Image:
    _, swaps, flip = _TURNS[turn]
    result = cv2.transpose(image) if swaps else image
    result = result if flip is None else cv2.flip(result, flip)
    return with_channels(result, image.shape[2])


def _reflection(size: Size, stream: Stream, *, axis: str) -> Affine:
    del stream
    return _move(size, f"flip_{axis}")


def _flipped(image: Image, move: Move, *, axis: str) -> Image:
    del move
    return _turned(image, f"flip_{axis}")


def _transposition(size: Size, stream: Stream, *, diagonal: str) -> Affine:
    del stream
    return _move(size, _DIAGONALS[diagonal])


def _transposed(image: Image, move: Move, *, diagonal: str) -> Image:
    del move
    return _turned(image, _DIAGONALS[diagonal])


def _symmetry(size: Size, stream: Stream, *, element: str) -> Affine:
    del stream
    return _move(size, element)


def _symmetric(image: Image, move: Move, *, element: str) -> Image:
    del move
    return _turned(image, element)


_DIAGONALS = {"main": "transpose", "anti": "antitranspose"}

OPERATIONS = (
    GeometricOperation(
        name="flip",
        category="geometry",
        description="Mirrors the picture.",
        parameters=(
            Choice(
                name="axis",
                description="the axis that it is turned over",
                choices={
                    "x": "the horizontal one: upside down",
                    "y": "the vertical one: left becomes right",
                },
            ),
        ),
        move=_reflection,
        warp=_flipped,
        exact=True,
        example={"axis": "y"},
    ),
    GeometricOperation(
        name="transpose",
        category="geometry",
        description="Makes rows of columns: mirrors the picture at a diagonal.",
        parameters=(
            Choice(
                name="diagonal",
                description="the one that it is mirrored at",
                choices={
                    "main": "from the upper left to the lower right",
                    "anti": "from the upper right to the lower left",
                },
                default="main",
            ),
        ),
        move=_transposition,
        warp=_transposed,
        exact=True,
    ),
    GeometricOperation(
        name="d4",
        category="geometry",
        description="Turns the picture by right angles, mirrored or not: the symmetries of the "
        "square. Draw from all with choices.",
        parameters=(
            Choice(
                name="element",
                description="which of the eight",
                choices={
                    "none": "as it is",
                    "quarter": "90 degrees counter-clockwise",
                    "half": "180 degrees",
                    "three_quarters": "90 degrees clockwise",
                    "flip_x": "upside down",
                    "flip_y": "left becomes right",
                    "transpose": "mirrored at the main diagonal",
                    "antitranspose": "mirrored at the other diagonal",
                },
            ),
        ),
        move=_symmetry,
        warp=_symmetric,
        exact=True,
        neutral={"element": "none"},
        example={"element": "quarter"},
    ),
)
