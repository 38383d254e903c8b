"""What the OpenAPI schema says of the preview route, whose body is read by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from augmentation_service.answers import RECEIPT_HEADER
from augmentation_service.pictures import FORMATS
from augmentation_service.requests import PreviewOfImage, ReplayOfImage

__all__ = ["PreviewOperation", "ReplayOperation", "schema_of"]

_DESCRIPTIONS = {
    "image_id": "An image that was uploaded before.",
    "file": "The picture (also as `image`); it is not kept.",
    "recipe": "A list of steps: operation, parameters, probability; or the name of a kept recipe.",
    "seed": "Other seeds, other variants; the same seed, the same variant.",
    "variant": "The number of the variant.",
    "format": "The format of the answer.",
    "quality": "For jpeg and webp; 90 if not given.",
    "boxes": "Boxes to move along, in pixels of the upright picture.",
    "keypoints": "Keypoints to move along, in pixels of the upright picture.",
    "polygons": "Outlines to move along, in pixels of the upright picture.",
    "rotated_boxes": "Rotated boxes to move along, in pixels of the upright picture.",
    "rules": "Which labels are worth keeping.",
    "others": "Ids of images, for steps that mix several pictures.",
    "draw": "Draw the labels on the picture.",
    "variants": "So many variants on a contact sheet.",
    "tile": "Pixels of a picture on a contact sheet.",
    "receipt": "The receipt of the variant to make again.",
}
#: What goes wrong, by status: the codes of the problems.
_PROBLEMS = {
    400: "invalid_request, malformed_image_id, malformed_recipe, too_many_steps, "
    "unknown_operation, unknown_parameter, missing_parameter, parameter_out_of_range, "
    "invalid_parameter, invalid_labels, invalid_receipt, too_few_pictures, "
    "output_too_large, malformed_multipart, missing_file, repeated_field, incomplete_body",
    404: "unknown_image, unknown_recipe",
    408: "body_timeout",
    410: "image_deleted",
    413: "body_too_large, too_many_parts",
    415: "unsupported_media_type, unsupported_content_encoding",
    422: "empty_file, corrupt_pixels, too_many_pixels, unprocessable_picture",
    503: "too_busy, deadline_exceeded, out_of_memory, unavailable; with Retry-After",
}
_EXAMPLE = [
    {"operation": "rotate", "parameters": {"angle": {"min": -15, "max": 15}}, "probability": 0.5},
    {"operation": "flip", "parameters": {"axis": "y"}},
]


def _fields(kind: type[msgspec.Struct]) -> dict[str, Schema]:
    """Return the schema of every field of a JSON request."""
    (_, components) = msgspec.json.schema_components([kind], ref_template="#/{name}")
    fields: dict[str, Any] = components[kind.__name__]["properties"]
    return {name: _field(name, found, components) for name, found in fields.items()}


def _field(name: str, found: dict[str, Any], components: dict[str, Any]) -> Schema:
    schema = schema_of(found, components)
    schema.description = _DESCRIPTIONS[name]
    if name == "recipe":
        schema = Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(type=OpenAPIType.OBJECT),
            description=_DESCRIPTIONS[name],
            examples=[_EXAMPLE],
        )
    return schema


def schema_of(found: dict[str, Any], components: dict[str, Any]) -> Schema:
    """Return msgspec's JSON Schema as Litestar spells it; null need not be mentioned."""
    if "anyOf" in found:
        options = [option for option in found["anyOf"] if option.get("type") != "null"]
        if len(options) > 1:
            return Schema(any_of=[schema_of(option, components) for option in options])
        (found,) = options
    if "$ref" in found:
        found = components[found["$ref"].removeprefix("#/")]
    properties: dict[str, Reference | Schema] = {
        name: schema_of(inner, components) for name, inner in found.get("properties", {}).items()
    }
    kind = found.get("type", "string" if "enum" in found else None)
    return Schema(
        type=None if kind is None else OpenAPIType(kind),
        enum=found.get("enum"),
        minimum=found.get("minimum"),
        maximum=found.get("maximum"),
        max_length=found.get("maxLength"),
        max_items=found.get("maxItems"),
        items=_items(found, components),
        prefix_items=[schema_of(inner, components) for inner in found["prefixItems"]]
        if "prefixItems" in found
        else None,
        properties=properties or None,
        required=found.get("required"),
    )


def _items(found: dict[str, Any], components: dict[str, Any]) -> Schema | None:
    items = found.get("items")
    return schema_of(items, components) if isinstance(items, dict) and items else None


def _body(kind: type[msgspec.Struct], needed: str) -> RequestBody:
    fields = _fields(kind)
    of_file = {name: schema for name, schema in fields.items() if name != "image_id"}
    file = Schema(
        type=OpenAPIType.STRING,
        format=OpenAPIFormat.BINARY,
        description=_DESCRIPTIONS["file"],
    )
    return RequestBody(
        required=True,
        content={
            "application/json": OpenAPIMediaType(
                schema=Schema(
                    type=OpenAPIType.OBJECT, properties={**fields}, required=["image_id", needed]
                )
            ),
            "multipart/form-data": OpenAPIMediaType(
                schema=Schema(
                    type=OpenAPIType.OBJECT,
                    properties={"file": file, **of_file},
                    required=["file", needed],
                )
            ),
        },
    )


def _responses() -> dict[str, OpenAPIResponse | Reference]:
    picture = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
    content = {format_.media_type: OpenAPIMediaType(schema=picture) for format_ in FORMATS.values()}
    content["application/json"] = OpenAPIMediaType(
        schema=Schema(
            type=OpenAPIType.OBJECT,
            description="With `Accept: application/json`: `image` (its `data` in base64), "
            "`receipt`, and `labels` if boxes or keypoints were given.",
        )
    )
    receipt = OpenAPIHeader(
        description="How the variant was made: JSON in base64url without padding",
        schema=Schema(type=OpenAPIType.STRING),
    )
    problem = {"application/problem+json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))}
    return {
        "200": OpenAPIResponse(
            description="The variant", content=content, headers={RECEIPT_HEADER: receipt}
        ),
        **{
            str(status): OpenAPIResponse(description=codes, content=problem)
            for status, codes in _PROBLEMS.items()
        },
    }


@dataclass
class PreviewOperation(Operation):
    """The operation of `POST /augmentation/preview`, completed by hand."""

    def __post_init__(self) -> None:
        self.request_body = _body(PreviewOfImage, "recipe")
        self.responses = _responses()


@dataclass
class ReplayOperation(Operation):
    """The operation of `POST /augmentation/replay`."""

    def __post_init__(self) -> None:
        self.request_body = _body(ReplayOfImage, "receipt")
