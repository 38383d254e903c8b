"""Where the eye goes, for pictures of which nothing has been said yet.

The spectral residual (Hou and Zhang, CVPR 2007): what is left of the log spectrum without its
local mean is what is unusual in a picture.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["SIDE", "eye"]

Values: TypeAlias = NDArray[np.float64]

#: Pixels of the longer side at which it is computed.
SIDE = 64


def eye(picture: Image.Image) -> tuple[float, float]:
    """Return the centre of what stands out, as shares of width and height.

    `picture`: any mode that converts to L; it is made small first.
    """
    small = picture.convert("L")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    levels = np.asarray(small, np.float64)
    if min(levels.shape) < 4 or levels.std() < 1.0:
        return 0.5, 0.5
    spectrum = np.fft.fft2(levels - levels.mean())
    amplitude = np.log(np.abs(spectrum) + 1e-6)
    unusual = np.exp(amplitude - _smooth(amplitude, 1) + 1j * np.angle(spectrum))
    shown = _smooth(np.abs(np.fft.ifft2(unusual)) ** 2, 2)
    # What stands out, and not a little of everything: the centre of that is always the middle.
    shown = np.maximum(shown - shown.mean() - 2 * shown.std(), 0.0)
    total = float(shown.sum())
    if total <= 0:
        return 0.5, 0.5
    rows, columns = shown.shape
    x = float((shown.sum(0) * (np.arange(columns) + 0.5)).sum() / total / columns)
    y = float((shown.sum(1) * (np.arange(rows) + 0.5)).sum() / total / rows)
    return x, y


def _smooth(values: Values, radius: int) -> Values:
    """Return the mean of each value's neighbourhood; edges repeat."""
    padded = np.pad(values, radius, mode="edge")
    size = 2 * radius + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    return np.asarray(windows.mean((2, 3)))
