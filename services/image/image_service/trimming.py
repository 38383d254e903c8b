"""Edges of one colour: where the picture begins and ends."""

from __future__ import annotations

import numpy as np
from PIL import Image

from image_service.geometry import Box

__all__ = ["trimmed"]


def trimmed(picture: Image.Image, area: Box, tolerance: float) -> Box:
    """Return the box within `area` of all that differs from the corners' colour.

    `picture`: L, LA, RGB or RGBA; `tolerance`: levels (0-255) that a band may be off. Where
    transparent, colours count for nothing. A picture of one colour stays whole.
    """
    left, top, right, bottom = (round(side) for side in area)
    part = picture.crop((left, top, right, bottom))
    if picture.mode in ("LA", "RGBA"):
        part = part.convert("RGBA").convert("RGBa")
    values = np.atleast_3d(np.asarray(part))
    corners = values[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.int16)
    background = np.median(corners, axis=0).astype(np.int16)
    differs = (np.abs(values.astype(np.int16) - background) > tolerance).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    if not rows.size:
        return area
    return (
        left + float(columns[0]),
        top + float(rows[0]),
        left + float(columns[-1]) + 1,
        top + float(rows[-1]) + 1,
    )
