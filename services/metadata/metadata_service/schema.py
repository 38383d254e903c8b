"""What MongoDB is told about documents: a validator made from the structs they are.

The keywords are those of `$jsonSchema` (draft 4 with `bsonType`). It refuses what no version of
this service writes: a field that is missing or of another type. Fields that it does not know are
let through, so that an older and a newer service can share a database for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import inspect

from metadata_service.documents import Document

__all__ = ["validator"]

#: Above every image id: what a collection holds besides documents.
ABOVE_IDS = "~"

_SIMPLE: dict[type[inspect.Type], dict[str, Any]] = {
    inspect.AnyType: {},
    inspect.NoneType: {"bsonType": "null"},
    inspect.BoolType: {"bsonType": "bool"},
    inspect.StrType: {"bsonType": "string"},
    inspect.BytesType: {"bsonType": "binData"},
    inspect.DateTimeType: {"bsonType": "date"},
    inspect.IntType: {"bsonType": ["int", "long"]},
    inspect.FloatType: {"bsonType": ["double", "int", "long"]},
}


def validator() -> dict[str, Any]:
    """Return the validator of a collection of documents."""
    schema = _schema(inspect.type_info(Document))
    return {"$or": [{"_id": {"$gte": ABOVE_IDS}}, {"$jsonSchema": schema}]}


def _schema(kind: inspect.Type) -> dict[str, Any]:
    simple = _SIMPLE.get(type(kind))
    return simple if simple is not None else _COMPOSED[type(kind)](kind)


def _struct(kind: Any) -> dict[str, Any]:
    fields: tuple[inspect.Field, ...] = kind.fields
    schema: dict[str, Any] = {
        "bsonType": "object",
        "properties": {field.encode_name: _schema(field.type) for field in fields},
    }
    # Queries rely on every field of a document itself.
    required = [each.encode_name for each in fields if each.required or kind.cls is Document]
    return schema | ({"required": required} if required else {})


def _dict(kind: Any) -> dict[str, Any]:
    return {"bsonType": "object", "additionalProperties": _schema(kind.value_type)}


def _list(kind: Any) -> dict[str, Any]:
    return {"bsonType": "array", "items": _schema(kind.item_type)}


def _union(kind: Any) -> dict[str, Any]:
    return {"anyOf": [_schema(each) for each in kind.types]}


def _literal(kind: Any) -> dict[str, Any]:
    return {"enum": list(kind.values)}


_COMPOSED: dict[type[inspect.Type], Callable[[Any], dict[str, Any]]] = {
    inspect.StructType: _struct,
    inspect.DictType: _dict,
    inspect.ListType: _list,
    inspect.UnionType: _union,
    inspect.LiteralType: _literal,
}
