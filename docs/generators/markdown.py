"""Markdown: tables whose cells may hold anything, and the types of structs in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import inspect

__all__ = [
    "bounds_of",
    "cell",
    "code",
    "default_of",
    "description_of",
    "first_paragraph",
    "table",
    "type_of",
]

_SIMPLE: dict[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "true or false",
    inspect.NoneType: "null",
    inspect.AnyType: "anything",
    inspect.BytesType: "bytes, in base64",
    inspect.DateTimeType: "time, RFC 3339",
}


def code(text: object) -> str:
    """Return `text` as code, or nothing if there is none."""
    return f"`{text}`" if str(text) else ""


def cell(text: object) -> str:
    """Return `text` as it can stand in a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; a column without a head that says nothing is left out."""
    cells = [[cell(value) for value in row] for row in rows]
    kept = [number for number, name in enumerate(head) if name or any(row[number] for row in cells)]
    kept = kept or [0]
    head = [head[number] for number in kept]
    cells = [[row[number] for number in kept] for row in cells]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join(lines) + "\n"


def first_paragraph(doc: str | None) -> str:
    """Return a docstring's first paragraph on one line."""
    return " ".join((doc or "").strip().split("\n\n")[0].split())


def description_of(annotation: Any) -> str:
    """Return the description in an annotation's `msgspec.Meta`."""
    info = inspect.type_info(annotation)
    found = info.extra_json_schema if isinstance(info, inspect.Metadata) else None
    return str((found or {}).get("description", ""))


def type_of(annotation: Any) -> str:
    """Return an annotation in words; structs by their names."""
    return _words(inspect.type_info(annotation))


def _literals(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a `Literal`, in the order in which they were written."""
    arguments = get_args(annotation)
    return _literals(arguments[0]) if get_origin(annotation) is Annotated else arguments


def bounds_of(annotation: Any) -> str:
    """Return what values fit, where an annotation bounds them."""
    info = _plain(inspect.type_info(annotation))
    if isinstance(info, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in _literals(annotation))
    if isinstance(info, inspect.IntType | inspect.FloatType):
        bounds = (("≥", info.ge), (">", info.gt), ("≤", info.le), ("<", info.lt))
        return ", ".join(f"{sign} {bound}" for sign, bound in bounds if bound is not None)
    if isinstance(info, inspect.StrType) and info.pattern:
        return f"`{info.pattern}`"
    return ""


def _plain(info: inspect.Type) -> inspect.Type:
    return info.type if isinstance(info, inspect.Metadata) else info


def _words(info: inspect.Type) -> str:
    info = _plain(info)
    match info:
        case inspect.StructType():
            return f"[{info.cls.__name__}](#{info.cls.__name__.lower()})"
        case inspect.LiteralType():
            return " or ".join(f"`{value}`" for value in sorted(info.values, key=str))
        case inspect.ListType() | inspect.VarTupleType() | inspect.SetType():
            return f"list of {_words(info.item_type)}"
        case inspect.DictType():
            return f"object, {_words(info.key_type)} → {_words(info.value_type)}"
        case inspect.UnionType():
            return " or ".join(_words(each) for each in info.types)
    return _SIMPLE.get(type(info), type(info).__name__)


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """Return a field's default in words; a field without one is `required`."""
    if field.required:
        return "required"
    if field.default_factory is not msgspec.NODEFAULT:
        return code(msgspec.json.encode(field.default_factory()).decode())
    if field.default is None:
        return "null"
    return code(msgspec.json.encode(field.default).decode())
