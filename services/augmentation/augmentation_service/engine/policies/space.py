"""What papers call an operation of some strength, as operations of ours.

Strength is 0 to 1, from nothing to the most that a paper has; what has two directions is drawn
the one way or the other. Percentages of the sides take the place of pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from augmentation_service.engine.policies.declarations import Taken
from augmentation_service.engine.randomness import Stream

__all__ = ["NARROW", "WIDE", "Space", "Turned"]

#: From strength (0 to 1) and direction (-1 or 1) to an operation; None: leave it as it is.
Turned: TypeAlias = Callable[[float, int], Taken | None]


def _moved(operation: str, parameter: str, most: float) -> Turned:
    return lambda strength, sign: (operation, {parameter: sign * strength * most})


def _sheared(parameter: str, degrees: float) -> Turned:
    return lambda strength, sign: ("shear", {parameter: sign * strength * degrees})


def _enhanced(quality: str, most: float) -> Turned:
    return lambda strength, sign: (
        "enhance",
        {"quality": quality, "factor": 1 + sign * strength * most},
    )


def _plain(operation: str, **parameters: Any) -> Turned:
    return lambda strength, sign: (operation, dict(parameters))


def _posterized(fewest: int) -> Turned:
    return lambda strength, sign: (
        "posterize",
        {"bits": 8 - int(strength * (8 - fewest) + 0.5)},
    )


def _solarized(strength: float, sign: int) -> Taken:
    del sign
    return "solarize", {"threshold": 255 * (1 - strength)}


def _space(
    degrees: float, shear: float, shift: float, factor: float, bits: int
) -> dict[str, Turned]:
    return {
        "identity": lambda strength, sign: None,
        "shear_x": _sheared("shear_x", shear),
        "shear_y": _sheared("shear_y", shear),
        "translate_x": _moved("shift", "x", shift),
        "translate_y": _moved("shift", "y", shift),
        "rotate": _moved("rotate", "angle", degrees),
        "brightness": _enhanced("brightness", factor),
        "color": _enhanced("colour", factor),
        "contrast": _enhanced("contrast", factor),
        "sharpness": _enhanced("sharpness", factor),
        "posterize": _posterized(bits),
        "solarize": _solarized,
        "autocontrast": _plain("autocontrast"),
        "equalize": _plain("equalize"),
        "invert": _plain("invert"),
    }


class Space:
    """A table of operations by the names that papers use."""

    def __init__(self, table: dict[str, Turned], names: tuple[str, ...]) -> None:
        self._table = table
        #: What is drawn from, each as likely.
        self.names = names

    def drawn(self, name: str, strength: float, stream: Stream) -> Taken | None:
        """Return the operation of that strength, in a direction that is drawn."""
        return self._table[name](strength, 1 if stream.below(2) else -1)


_NAMES = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)

#: AutoAugment's and RandAugment's: shear by 0.3 (16.7 degrees), translate by 150 of 331 pixels,
#: rotate by 30 degrees, factors 0.1 to 1.9, down to 4 bits.
NARROW = Space(_space(30, 16.6992, 45.3172, 0.9, 4), _NAMES)
#: TrivialAugment's wide space: shear by 0.99 (44.7 degrees), translate by 32 of 224 pixels,
#: rotate by 135 degrees, factors 0.01 to 1.99, down to 2 bits.
WIDE = Space(_space(135, 44.7121, 14.2857, 0.99, 2), _NAMES)
