"""Examples that something alike is looked for of, and how they are described."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from imagesystem.errors import Rejected
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)

from metadata_service.openapi import operation
from metadata_service.parameters import Parameter
from metadata_service.similarity.vectors import MAX_DIMENSIONS, Vector, unit

__all__ = ["Example", "example_of", "example_operation", "given_vector"]


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for, instead of a picture: one that is here (`image_id`), or a vector.

    `vector`: numbers, or little-endian float32 in base64, as `POST /inference/embedding` answers
    (its `model`, `model_version` and `result.vector`); of any length, it is scaled to 1.
    """

    image_id: str | None = None
    vector: list[float] | str | None = None
    model: str | None = None
    model_version: str | None = None


def example_of(body: bytes) -> Example:
    """Return what JSON says; raises `Rejected` 400."""
    try:
        example = msgspec.json.decode(body, type=Example)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(400, "invalid_request", str(error)) from error
    if (example.image_id is None) == (example.vector is None):
        raise Rejected(400, "invalid_request", "give either `image_id` or `vector`")
    if example.vector is not None and not (example.model and example.model_version):
        raise Rejected(
            400, "invalid_request", "`vector` needs the `model` and `model_version` that made it"
        )
    return example


def given_vector(example: Example) -> Vector:
    """Return the vector of an example, scaled to length 1; raises `Rejected` 400."""
    given = example.vector
    try:
        if isinstance(given, str):
            raw = base64.b64decode(given, validate=True)
            values = np.frombuffer(raw, dtype="<f4").astype(np.float64)
        else:
            values = np.array(given, dtype=np.float64)
    except (binascii.Error, ValueError, OverflowError) as error:
        raise Rejected(400, "invalid_vector", f"vector: {error}") from error
    if not 0 < len(values) <= MAX_DIMENSIONS:
        raise Rejected(
            400,
            "limit_exceeded",
            f"a vector has 1 to {MAX_DIMENSIONS} dimensions",
            limit="dimensions",
            allowed=MAX_DIMENSIONS,
            actual=len(values),
        )
    vector = unit(values)
    if vector is None:
        raise Rejected(400, "invalid_vector", "the vector has no direction: it is 0, or not finite")
    return vector


def example_operation(known: Mapping[str, Parameter]) -> type[Operation]:
    """Return the operation class of a route that takes an example, and these parameters."""
    file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
    form = Schema(type=OpenAPIType.OBJECT, properties={"file": file}, required=["file"])
    numbers = Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.NUMBER))
    text = Schema(type=OpenAPIType.STRING)
    names = dict.fromkeys(("image_id", "model", "model_version"), text)
    example = Schema(
        type=OpenAPIType.OBJECT,
        description=Example.__doc__,
        properties={**names, "vector": Schema(one_of=[numbers, text])},
    )
    parent = operation(known)

    @dataclass
    class Described(parent):  # type: ignore[valid-type, misc]
        def __post_init__(self) -> None:
            super().__post_init__()
            self.request_body = RequestBody(
                required=True,
                content={
                    "image/*": OpenAPIMediaType(schema=file),
                    "multipart/form-data": OpenAPIMediaType(schema=form),
                    "application/json": OpenAPIMediaType(schema=example),
                },
            )

    return Described
