"""Published policies: which operations to draw, how strong, how often.

What the papers call an operation of a magnitude is an operation of ours with parameters:
`_space` says which. Labels are moved along, as by any operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from augmentation_service.engine.parameters import Parameter

__all__ = ["POLICIES", "Policy"]

#: An operation and those of its parameters that are not the default's.
Taken: TypeAlias = tuple[str, dict[str, Any]]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy: `draw(stream, **parameters)` yields what is done to one picture."""

    name: str
    description: str
    paper: str
    parameters: tuple[Parameter, ...]
    draw: Callable[..., Iterator[Taken]]


POLICIES: dict[str, Policy] = {}
