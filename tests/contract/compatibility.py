"""What would break a reader of events: differences between two JSON Schemas of one event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["breaks"]

#: What describes a value without bounding it.
NOTES = frozenset({"title", "description", "default", "examples", "$id", "$schema", "$defs"})


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return one line for each way in which `new` fails readers or messages of `old`.

    A field may be added if it is not required. Anything else is a break: a field that is gone
    (or has another name), that has another type, that became required (old messages lack it),
    or that may now be missing (readers count on it).
    """
    found = []
    for name, part in _structs(old).items():
        newer = _structs(new).get(name)
        if newer is None:
            found.append(f"{name} is gone")
        else:
            found += [f"{name}: {line}" for line in _differences(part, newer)]
    return found


def _structs(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the event itself and every struct within it, by name."""
    return {schema["title"]: schema, **schema.get("$defs", {})}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    was, has = old.get("properties", {}), new.get("properties", {})
    for field in was:
        if field not in has:
            yield f"{field} is gone"
        elif _type(was[field]) != _type(has[field]):
            yield f"{field} was {_type(was[field])}, is {_type(has[field])}"
    required, requires = set(old.get("required", ())), set(new.get("required", ()))
    for field in sorted(requires - required):
        yield f"{field} became required"
    for field in sorted((required - requires) & set(has)):
        yield f"{field} may now be missing"


def _type(value: Any) -> Any:
    """Return what a schema demands, without its notes."""
    if isinstance(value, dict):
        return {name: _type(part) for name, part in sorted(value.items()) if name not in NOTES}
    if isinstance(value, list):
        return [_type(part) for part in value]
    return value
