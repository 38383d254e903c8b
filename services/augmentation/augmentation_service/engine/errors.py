"""What the engine raises.

::

    EngineError
    ├── BadRecipe       the recipe cannot be carried out: every reason, with its path
    ├── BadLabels       a box or a keypoint that is none
    ├── BadReceipt      a receipt that cannot be replayed, and why
    ├── BadImage        not a uint8 or float32 array (H, W, C), C = 1, 3 or 4, with a pixel
    ├── TooFewPictures  a step mixes more pictures than were given
    └── TooLarge        a step would make a picture larger than allowed
"""

from __future__ import annotations

import msgspec

__all__ = [
    "BadImage",
    "BadLabels",
    "BadReceipt",
    "BadRecipe",
    "EngineError",
    "Fault",
    "TooFewPictures",
    "TooLarge",
]


class EngineError(Exception):
    """The root."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a recipe.

    `path` says where, as `recipe[0].parameters.angle`; `allowed` and `actual` what could have
    stood there and what does. `code`: malformed_recipe, too_many_steps, unknown_operation,
    unknown_parameter, missing_parameter, parameter_out_of_range, invalid_parameter.
    """

    code: str
    path: str
    message: str
    allowed: int | str | None = None
    actual: int | str | None = None


class BadRecipe(EngineError):
    """The recipe cannot be carried out; `faults` has every reason, at least one."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "; ".join(f"{fault.path}: {fault.message}" for fault in self.faults)


class BadLabels(EngineError):
    """A box or keypoint that is none: where it stands and why."""


class BadReceipt(EngineError):
    """A receipt that cannot be replayed here: what it says does not fit."""


class BadImage(EngineError):
    """Not an image as the engine knows them."""


class TooFewPictures(EngineError):
    """A step mixes `needed` pictures, `given` were there; `path` as `recipe[0]`."""

    def __init__(self, needed: int, given: int, path: str) -> None:
        super().__init__(needed, given, path)
        self.needed = needed
        self.given = given
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: it mixes {self.needed} pictures, {self.given} were given"


class TooLarge(EngineError):
    """A step would make a picture of more pixels, or of a longer side, than allowed.

    `limit` is `pixels` or `side`, `path` the step, as `recipe[0]`.
    """

    def __init__(self, limit: str, allowed: int, actual: int, path: str = "") -> None:
        super().__init__(limit, allowed, actual, path)
        self.limit = limit
        self.allowed = allowed
        self.actual = actual
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.actual} {self.limit} would be more than {self.allowed}"
