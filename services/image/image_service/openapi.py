"""What the OpenAPI schema says of the picture route: parameters, headers and answers, by tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from image_service.formats import FORMATS
from image_service.parameters import PARAMETERS

__all__ = ["PathOperation", "PictureOperation", "TransformOperation"]

_HEADERS = {
    "Range": "One range of bytes: `bytes=0-1023`, `bytes=1024-`, `bytes=-512`.",
    "If-Range": "The range holds only while this ETag or date does.",
    "If-None-Match": "Entity tags that the client has: 304 if one is current.",
    "If-Modified-Since": "304 if the picture is not newer (without If-None-Match).",
    "Accept": "Formats that the client shows; matters with `format=auto`.",
}

#: What goes wrong, by status: the codes of the problems.
_PROBLEMS = {
    400: "malformed_image_id, unknown_parameter, repeated_parameter, invalid_parameter, "
    "conflicting_parameters, too_many_parameters, unknown_preset, presets_only, "
    "output_too_large, outside_the_picture",
    403: "signature_required, bad_signature, url_expired",
    404: "unknown_image",
    410: "image_deleted",
    412: "precondition_failed",
    416: "malformed_range, multiple_ranges, range_not_satisfiable",
    422: "corrupt_pixels, too_many_pixels, unprocessable_picture, animation_too_large, "
    "no_such_frame, max_bytes_exceeded, unknown_watermark, faces_failed, faces_not_planned, "
    "faces_unknown",
    429: "too_busy; with Retry-After",
    503: "deadline_exceeded, unavailable, faces_pending; with Retry-After",
}

#: What can be wrong with a body.
_BODY_PROBLEMS = {
    "408": "body_timeout",
    "413": "body_too_large, too_many_parts",
    "415": "not_a_form, unsupported_content_encoding",
}
_PROBLEM = {"application/problem+json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))}


def _queries() -> list[Parameter]:
    return [
        Parameter(
            name=parameter.name,
            param_in="query",
            required=False,
            description=parameter.description
            + (f" Also `{'`, `'.join(parameter.aliases)}`." if parameter.aliases else ""),
            schema=_schema(parameter.kind.schema()),
        )
        for parameter in PARAMETERS
    ]


def _schema(schema: dict[str, Any]) -> Schema:
    return Schema(
        type=OpenAPIType(schema["type"]) if "type" in schema else None,
        any_of=[_schema(each) for each in schema["anyOf"]] if "anyOf" in schema else None,
        enum=schema.get("enum"),
        minimum=schema.get("minimum"),
        maximum=schema.get("maximum"),
        min_length=schema.get("minLength"),
        max_length=schema.get("maxLength"),
        format=schema.get("format"),
        examples=[schema["example"]] if "example" in schema else None,
    )


def _headers() -> list[Parameter]:
    return [
        Parameter(
            name=name,
            param_in="header",
            required=False,
            description=description,
            schema=Schema(type=OpenAPIType.STRING),
        )
        for name, description in _HEADERS.items()
    ]


def _responses() -> dict[str, OpenAPIResponse | Reference]:
    pictures = {
        format_.media_type: OpenAPIMediaType(
            schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        )
        for format_ in FORMATS.values()
    }
    return {
        "200": OpenAPIResponse(description="The picture", content=pictures),
        "206": OpenAPIResponse(description="The range of it", content=pictures),
        "304": OpenAPIResponse(description="The client has it"),
        **{
            str(status): OpenAPIResponse(description=codes, content=_PROBLEM)
            for status, codes in _PROBLEMS.items()
        },
    }


@dataclass
class PictureOperation(Operation):
    """The operation of `GET /image/images/{id}`, completed from the tables."""

    def __post_init__(self) -> None:
        self.parameters = [*(self.parameters or []), *_queries(), *_headers()]
        self.responses = _responses()


@dataclass
class PathOperation(Operation):
    """The operation of the path form: its answers; its options are the parameters above."""

    def __post_init__(self) -> None:
        self.parameters = [*(self.parameters or []), *_headers()]
        self.responses = _responses()


@dataclass
class TransformOperation(Operation):
    """The operation of `POST /image/transform`: a form with a file, and the same parameters."""

    def __post_init__(self) -> None:
        file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(type=OpenAPIType.OBJECT, properties={"file": file}, required=["file"])
        self.request_body = RequestBody(
            required=True, content={"multipart/form-data": OpenAPIMediaType(schema=form)}
        )
        self.parameters = [*(self.parameters or []), *_queries()]
        answers = _responses()
        self.responses = {
            **{status: answers[status] for status in ("200", "400", "403", "422", "429", "503")},
            **{
                status: OpenAPIResponse(description=codes, content=_PROBLEM)
                for status, codes in _BODY_PROBLEMS.items()
            },
        }
