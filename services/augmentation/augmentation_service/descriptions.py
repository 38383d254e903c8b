"""Operations as `GET /augmentation/operations` tells them, from the engine's table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from augmentation_service.engine import ENGINE, POLICIES, Operation
from augmentation_service.engine.parameters import Parameter
from augmentation_service.engine.reading import MAX_CHOICES

__all__ = ["Catalogue", "DescribedOperation", "DescribedPolicy", "catalogue"]

_SETTING = (
    "Each parameter is a value, or for numbers {min, max} to draw from uniformly, or {choices: "
    f"[...]}} (1 to {MAX_CHOICES} values) to draw from. What is drawn depends on seed, picture, "
    "variant, step and parameter alone."
)


class DescribedOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation; `parameters` is the JSON Schema (2020-12) of its parameters as values.

    `labels`: whether boxes and keypoints are moved along or stay; `exact`: the same pixels on
    every machine, otherwise `tolerance`. `cost`: on 512 x 512 RGB and one core, low is below 1 ms,
    medium below 10 ms. `pictures`: how many it needs. `example`: where a picture of it is.
    """

    name: str
    version: int
    category: str
    description: str
    labels: Literal["moved", "kept"]
    exact: bool
    tolerance: str | None
    cost: str
    pictures: int
    example: str
    parameters: dict[str, Any]


class DescribedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A published policy, which draws operations itself; `paper` says where it is described."""

    name: str
    description: str
    paper: str
    parameters: dict[str, Any]


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """All operations of one version of the engine, and how a recipe is made of them."""

    engine: str
    max_steps: int
    settings: str
    operations: list[DescribedOperation]
    policies: list[DescribedPolicy]


def catalogue(operations: Iterable[Operation], *, max_steps: int) -> Catalogue:
    """Describe the operations."""
    return Catalogue(
        engine=ENGINE,
        max_steps=max_steps,
        settings=_SETTING,
        operations=[_described(operation) for operation in operations],
        policies=[
            DescribedPolicy(
                name=policy.name,
                description=policy.description,
                paper=policy.paper,
                parameters=_schema(policy.parameters),
            )
            for policy in POLICIES.values()
        ],
    )


def _described(operation: Operation) -> DescribedOperation:
    return DescribedOperation(
        name=operation.name,
        version=operation.version,
        category=operation.category,
        description=operation.description,
        labels="moved" if operation.moves_labels else "kept",
        exact=operation.exact,
        tolerance=operation.tolerance,
        cost=operation.cost,
        pictures=operation.pictures,
        example=f"/augmentation/operations/{operation.name}/example",
        parameters=_schema(operation.parameters),
    )


def _schema(parameters: Sequence[Parameter]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for parameter in parameters:
        schema = {"description": parameter.description, **parameter.schema()}
        if parameter.default is not None:
            schema["default"] = parameter.default
        properties[parameter.name] = schema
    return {
        "type": "object",
        "properties": properties,
        "required": [p.name for p in parameters if p.default is None],
        "additionalProperties": False,
    }
