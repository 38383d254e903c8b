"""What the OpenAPI schema says of the picture route: parameters, headers and answers, by tables."""

from __future__ import annotations

from dataclasses import dataclass

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from image_service.formats import FORMATS
from image_service.parameters import PARAMETERS, Integer
from image_service.parameters import Parameter as RenditionParameter

__all__ = ["PictureOperation"]

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
    "too_many_parameters, output_too_large",
    404: "unknown_image",
    410: "image_deleted",
    412: "precondition_failed",
    416: "malformed_range, multiple_ranges, range_not_satisfiable",
    422: "corrupt_pixels, too_many_pixels, unprocessable_picture",
    503: "too_busy, deadline_exceeded, unavailable; with Retry-After",
}


def _queries() -> list[Parameter]:
    return [
        Parameter(
            name=parameter.name,
            param_in="query",
            required=False,
            description=parameter.description
            + (f" Also `{'`, `'.join(parameter.aliases)}`." if parameter.aliases else ""),
            schema=_schema(parameter),
        )
        for parameter in PARAMETERS
    ]


def _schema(parameter: RenditionParameter) -> Schema:
    if isinstance(parameter, Integer):
        return Schema(type=OpenAPIType.INTEGER, minimum=parameter.least, maximum=parameter.most)
    return Schema(type=OpenAPIType.STRING, enum=[*parameter.words, *parameter.spellings])


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
    problem = {"application/problem+json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))}
    return {
        "200": OpenAPIResponse(description="The picture", content=pictures),
        "206": OpenAPIResponse(description="The range of it", content=pictures),
        "304": OpenAPIResponse(description="The client has it"),
        **{
            str(status): OpenAPIResponse(description=codes, content=problem)
            for status, codes in _PROBLEMS.items()
        },
    }


@dataclass
class PictureOperation(Operation):
    """The operation of `GET /image/images/{id}`, completed from the tables."""

    def __post_init__(self) -> None:
        self.parameters = [*(self.parameters or []), *_queries(), *_headers()]
        self.responses = _responses()
