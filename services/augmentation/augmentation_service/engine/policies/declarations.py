"""What a policy is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from augmentation_service.engine.parameters import Parameter

__all__ = ["Policy", "Taken"]

#: An operation, and those of its parameters that are not the default's.
Taken: TypeAlias = tuple[str, dict[str, Any]]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy: `draw(stream, **parameters)` yields what is done to one picture, in order."""

    name: str
    description: str
    paper: str
    parameters: tuple[Parameter, ...]
    draw: Callable[..., Iterator[Taken]]
