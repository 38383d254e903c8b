"""The OpenAPI description of bodies that the routes read as streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imagesystem.problems import Problem
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)

from registry_service.documents import ImageDocument

__all__ = ["REFUSALS", "UPLOAD_ANSWERS", "BatchOperation", "RawOperation", "UploadOperation"]

_REFUSED = {
    400: "the request cannot be understood; nothing was stored",
    408: "no byte of the body came for IDLE_TIMEOUT_S",
    413: "larger than MAX_UPLOAD_BYTES, MAX_BATCH_BYTES or MAX_BATCH_FILES",
    415: "not multipart/form-data, or a file that is none of the formats",
    422: "an empty, truncated or damaged picture, or one beyond MAX_PIXELS or MAX_FRAMES",
    503: "it cannot be kept now; try again after Retry-After",
    507: "there is no room to keep it",
}
REFUSALS: Mapping[int, ResponseSpec] = {
    status: ResponseSpec(
        Problem, description=text, media_type="application/problem+json", generate_examples=False
    )
    for status, text in _REFUSED.items()
}
UPLOAD_ANSWERS: Mapping[int, ResponseSpec] = {
    200: ResponseSpec(
        ImageDocument, description="known already: nothing changed", generate_examples=False
    ),
    **REFUSALS,
}

FILE = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
TAGS = Schema(type=OpenAPIType.STRING, description="comma-separated; may be repeated")


def _form(schema: Schema) -> RequestBody:
    return RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema)}, required=True)


@dataclass
class UploadOperation(Operation):
    """A form with one picture."""

    def __post_init__(self) -> None:
        self.request_body = _form(
            Schema(
                type=OpenAPIType.OBJECT,
                properties={"file": FILE, "image": FILE, "tags": TAGS},
                description="exactly one of `file` and `image`",
            )
        )


@dataclass
class BatchOperation(Operation):
    """A form with many pictures."""

    def __post_init__(self) -> None:
        files = Schema(type=OpenAPIType.ARRAY, items=FILE)
        self.request_body = _form(
            Schema(type=OpenAPIType.OBJECT, properties={"file": files, "tags": TAGS})
        )


@dataclass
class RawOperation(Operation):
    """A body that is the picture."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            content={"application/octet-stream": OpenAPIMediaType(FILE)}, required=True
        )
