"""Filters that change each level alone: curves on levels from 0 to 1, joined into one table."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["brightness", "contrast", "gamma", "invert", "posterize", "solarize"]

Levels: TypeAlias = NDArray[np.float64]


def gamma(levels: Levels, value: Any) -> Levels:
    """Above 1 lightens the middle, below 1 darkens it; black and white stay."""
    return np.asarray(levels ** (1.0 / value))


def brightness(levels: Levels, value: Any) -> Levels:
    """Add `value` per cent of white."""
    return np.asarray(levels + value / 100.0)


def contrast(levels: Levels, value: Any) -> Levels:
    """Spread the levels around middle grey by `value` per cent."""
    return np.asarray((levels - 0.5) * (1.0 + value / 100.0) + 0.5)


def invert(levels: Levels, _value: Any) -> Levels:
    """Black is white."""
    return 1.0 - levels


def posterize(levels: Levels, value: Any) -> Levels:
    """Keep 2 to the power of `value` levels, black and white among them."""
    steps = 2.0**value
    return np.asarray(np.minimum(np.floor(levels * steps), steps - 1) / (steps - 1))


def solarize(levels: Levels, value: Any) -> Levels:
    """Invert the levels from `value` (of 255) upwards."""
    return np.where(levels * 255.0 >= value, 1.0 - levels, levels)
