"""Contact sheets: pictures of any size, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from augmentation_service import colours
from augmentation_service.engine import Image
from augmentation_service.engine.images import as_channels

__all__ = ["fitted", "page"]

_GAP = 4
_PAPER = 255


def fitted(image: Image, tile: int) -> Image:
    """Return a uint8 picture as RGB, on white, no side longer than `tile`; never enlarged."""
    flat = colours.over_white(image) if image.shape[2] == 4 else as_channels(image, 3)
    height, width = flat.shape[:2]
    scale = tile / max(width, height)
    if scale >= 1:
        return flat
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(np.ascontiguousarray(flat), size, interpolation=cv2.INTER_AREA)


def page(tiles: Sequence[Image], tile: int) -> Image:
    """Return the tiles on one picture, row by row, as square as can be: uint8 (H, W, 3)."""
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    step = tile + _GAP
    paper = np.full((rows * step + _GAP, columns * step + _GAP, 3), _PAPER, np.uint8)
    for place, picture in enumerate(tiles):
        row, column = divmod(place, columns)
        height, width = picture.shape[:2]
        top = _GAP + row * step + (tile - height) // 2
        left = _GAP + column * step + (tile - width) // 2
        paper[top : top + height, left : left + width] = picture
    return paper
