"""The OpenAPI description of query parameters, made from the table that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIType, Operation, Schema
from litestar.openapi.spec import Parameter as ParameterSpec

from metadata_service.parameters import Parameter

__all__ = ["operation"]

#: JSON Schema's names for what Litestar's `Schema` spells otherwise.
NAMES = {"minLength": "min_length", "maxLength": "max_length"}


def operation(known: Mapping[str, Parameter]) -> type[Operation]:
    """Return the operation class of a route that takes these parameters."""

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            described = [_spec(parameter) for parameter in known.values()]
            self.parameters = [*(self.parameters or ()), *described]

    return Described


def _spec(parameter: Parameter) -> ParameterSpec:
    schema = _schema(msgspec.json.schema(parameter.type))
    if parameter.repeatable:
        schema = Schema(type=OpenAPIType.ARRAY, items=schema)
    if parameter.default is not None:
        schema.default = parameter.default
    return ParameterSpec(
        name=parameter.name,
        param_in="query",
        schema=schema,
        description=parameter.description,
        required=False,
        explode=parameter.repeatable or None,
    )


def _schema(found: Mapping[str, Any]) -> Schema:
    fields = {NAMES.get(name, name): value for name, value in found.items()}
    kind = fields.pop("type", "string")
    return Schema(type=OpenAPIType(kind), **fields)
