"""What all kinds have, and the kind that is one of several."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import msgspec

__all__ = ["Either", "Kind", "Value"]

Value: TypeAlias = Any  # bool, int, float, str or a tuple of these: hashable, and JSON


class Kind(Protocol):
    """What all kinds have."""

    @property
    def allowed(self) -> str:
        """The values that can be given, for people."""

    @property
    def examples(self) -> tuple[str, ...]:
        """Texts that are allowed."""

    def value(self, text: str) -> Value | None:
        """Return the value that `text` says, None if it cannot be given."""

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        ...


class Either(msgspec.Struct, frozen=True):
    """What any of several kinds takes; the first that takes it decides."""

    kinds: tuple[Any, ...]

    @property
    def allowed(self) -> str:
        """What each allows."""
        return "; or ".join(kind.allowed for kind in self.kinds)

    @property
    def examples(self) -> tuple[str, ...]:
        """Those of each."""
        return tuple(example for kind in self.kinds for example in kind.examples)

    def value(self, text: str) -> Value | None:
        """Return the value of the first kind that takes the text."""
        values = (kind.value(text) for kind in self.kinds)
        return next((value for value in values if value is not None), None)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema."""
        return {"anyOf": [kind.schema() for kind in self.kinds]}
