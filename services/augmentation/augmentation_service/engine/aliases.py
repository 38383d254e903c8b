"""The twenty operations of the first augmentation service, by their names and parameters.

An alias has parameters of its own and says what they mean to an operation. Where it has the name
of an operation (`rotate`, `flip`, `zoom`, ...), it is meant when one of its own parameters is
given, or when the operation could not be carried out with what is given.

`amount` is 0 to 100: of brightness, noise and colour a percentage of the full effect, of a
cutout a percentage of the picture's area, of a zoom a percentage of each side that is cut off,
of a blur a hundred times its deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from augmentation_service.engine.operations.channels import CHANNEL_NAMES
from augmentation_service.engine.parameters import Choice, Number, Parameter, Toggle
from augmentation_service.engine.registry import REGISTRY

__all__ = ["ALIASES", "Alias"]


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """Another way to say an operation: `becomes(**parameters)` are that operation's parameters."""

    name: str
    operation: str
    parameters: tuple[Parameter, ...]
    becomes: Callable[..., dict[str, Any]]

    def is_meant(self, given: set[str]) -> bool:
        """Return whether parameters with these names are the alias's, not the operation's."""
        own = {parameter.name for parameter in self.parameters}
        operation = REGISTRY.get(self.name)
        if operation is None:
            return True
        theirs = {parameter.name for parameter in operation.parameters}
        return bool(given & (own - theirs)) and not given & (theirs - own)


def _amount(description: str) -> Number:
    return Number(name="amount", description=description, unit="percent", least=0, most=100)


_DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def _shift(*, direction: str, distance: float, wraps: bool) -> dict[str, Any]:
    x, y = _DIRECTIONS[direction]
    return {"x": x * distance, "y": y * distance, "border": "wrap" if wraps else "fill"}


def _tint(*, channel: str, amount: float) -> dict[str, Any]:
    return {channel: amount * 255 / 100}


def _zoom(*, amount: float) -> dict[str, Any]:
    return {"factor": 100 / (100 - amount)}


_TABLE = (
    Alias(
        name="brighten",
        operation="brightness",
        parameters=(_amount("how much brighter: 100 makes everything white"),),
        becomes=lambda amount: {"amount": amount},
    ),
    Alias(
        name="darken",
        operation="brightness",
        parameters=(_amount("how much darker: 100 makes everything black"),),
        becomes=lambda amount: {"amount": -amount},
    ),
    Alias(
        name="gaussian_blur",
        operation="gaussian_blur",
        parameters=(_amount("a hundred times the deviation of the kernel, in pixels"),),
        becomes=lambda amount: {"sigma": amount / 100},
    ),
    Alias(
        name="shift",
        operation="shift",
        parameters=(
            Choice(
                name="direction",
                description="where to",
                choices={name: name for name in _DIRECTIONS},
            ),
            Number(
                name="distance",
                description="how far",
                unit="percent of the side",
                least=0,
                most=100,
            ),
            Toggle(
                name="wraps",
                description="true: what leaves comes back on the other side; false: black",
                default=False,
            ),
        ),
        becomes=_shift,
    ),
    Alias(
        name="tint",
        operation="rgb_shift",
        parameters=(
            Choice(
                name="channel",
                description="which is made stronger",
                choices={name: name for name in CHANNEL_NAMES},
            ),
            _amount("how much is added to it: 100 makes it full everywhere"),
        ),
        becomes=_tint,
    ),
    Alias(
        name="zoom",
        operation="zoom",
        parameters=(
            Number(
                name="amount",
                description="how much of each side is cut off: 50 makes everything twice as large",
                unit="percent",
                least=0,
                most=95,
            ),
        ),
        becomes=_zoom,
    ),
)

#: The other names and parameters of the first service are the operations themselves:
#: channel_swap(a, b), cutout(amount), edge_filter(image_type), flip(axis), invert,
#: max_filter(size), min_filter(size), mute_channel(channel), pepper_noise(amount),
#: percentile_filter(percentile, size), rainbow_noise(amount), rotate(angle), salt_noise(amount),
#: uniform_blur(size).
ALIASES: dict[str, Alias] = {alias.name: alias for alias in _TABLE}
