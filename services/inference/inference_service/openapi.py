"""What the OpenAPI schema says of bodies, parameters and drawings, where types do not say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)
from litestar.openapi.spec import Parameter as Described

from inference_service.bodies import MOST_CHARACTERS
from inference_service.parameters import CHOICE, OVERLAY, Parameter

__all__ = ["AnswerOperation", "OverlayOperation"]


def _queries(parameters: Mapping[str, Parameter]) -> list[Described]:
    described = []
    for parameter in parameters.values():
        schema = msgspec.json.schema(parameter.type)
        described.append(
            Described(
                name=parameter.name,
                param_in="query",
                required=False,
                description=parameter.description,
                schema=Schema(
                    type=OpenAPIType(schema["type"]),
                    minimum=schema["minimum"],
                    maximum=schema["maximum"],
                    default=parameter.default,
                ),
            )
        )
    return described


@dataclass
class AnswerOperation(Operation):
    """`answer_now`: a form with a file, or JSON with an id; which findings are wanted."""

    def __post_init__(self) -> None:
        """Describe the two bodies and the parameters."""
        file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(type=OpenAPIType.OBJECT, properties={"file": file}, required=["file"])
        image_id = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID)
        of_image = Schema(
            type=OpenAPIType.OBJECT, properties={"image_id": image_id}, required=["image_id"]
        )
        words = Schema(type=OpenAPIType.STRING, min_length=1, max_length=MOST_CHARACTERS)
        of_text = Schema(
            type=OpenAPIType.OBJECT,
            properties={"text": words},
            required=["text"],
            description="for `embedding` alone, where its model has a text encoder",
        )
        self.request_body = RequestBody(
            required=True,
            content={
                "multipart/form-data": OpenAPIMediaType(schema=form),
                "application/json": OpenAPIMediaType(schema=Schema(one_of=[of_image, of_text])),
            },
        )
        self.parameters = [*(self.parameters or []), *_queries(CHOICE)]


@dataclass
class OverlayOperation(Operation):
    """`draw_overlay`: a PNG."""

    def __post_init__(self) -> None:
        """Describe the parameters and the drawing."""
        self.parameters = [*(self.parameters or []), *_queries(OVERLAY)]
        png = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        drawing = OpenAPIResponse(
            description="The picture, with what was found drawn on it",
            content={"image/png": OpenAPIMediaType(schema=png)},
        )
        self.responses = {**(self.responses or {}), "200": drawing}
