"""What the OpenAPI schema says of the routes that make tasks, whose bodies are read by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from augmentation_service.openapi import schema_of
from augmentation_service.tasks.orders import (
    BatchOrder,
    ScaleOrder,
    ScaleOrderOfImage,
    TaskOrder,
    TaskOrderOfFiles,
)
from augmentation_service.tasks.reports import Results, TaskList, TaskReport

__all__ = [
    "ACCEPTED",
    "REPORT",
    "RESULTS",
    "TASKS",
    "BatchOperation",
    "ScaleOperation",
    "TaskOperation",
]

_DESCRIPTIONS = {
    "ids": "Images that were uploaded before, each once.",
    "image_id": "An image that was uploaded before.",
    "file": "The picture (also as `image`); it is kept as long as the task.",
    "query": "Filters as of GET /metadata/images/list, each a value or a list; in place of ids.",
    "recipe": "A list of steps: operation, parameters, probability; or the name of a kept recipe.",
    "labels": "Labels to move along: format plain, coco, voc or yolo.",
    "rules": "Which labels are worth keeping.",
    "variants": "How many to make of each image.",
    "seed": "Other seeds, other variants; the same seed, the same variants.",
    "operations": "Each is done on every image; a list of operations is done one by one.",
    "width": "Pixels at most, or exactly without preserve_ratio.",
    "height": "Pixels at most, or exactly without preserve_ratio.",
    "preserve_ratio": "Whether the picture keeps its shape.",
    "format": "The format of the results.",
    "quality": "For jpeg and webp; 90 if not given.",
}
ACCEPTED = {
    202: ResponseSpec(TaskReport, generate_examples=False, description="The task, to be followed")
}
REPORT = {200: ResponseSpec(TaskReport, generate_examples=False, description="The task")}
TASKS = {200: ResponseSpec(TaskList, generate_examples=False, description="A page of tasks")}
RESULTS = {
    200: ResponseSpec(
        Results, generate_examples=False, description="A page of results, or all as one file"
    )
}


def _object(kind: type[msgspec.Struct], **more: Schema) -> Schema:
    _, components = msgspec.json.schema_components([kind], ref_template="#/{name}")
    described: dict[str, Any] = components[kind.__name__]
    properties: dict[str, Any] = dict(more)
    for name, found in described["properties"].items():
        properties[name] = schema_of(found, components)
        properties[name].description = _DESCRIPTIONS[name]
    if "recipe" in properties:
        properties["recipe"].type = OpenAPIType.ARRAY
        properties["recipe"].items = Schema(type=OpenAPIType.OBJECT)
    required = [*more, *described.get("required", [])]
    return Schema(type=OpenAPIType.OBJECT, properties=properties, required=required)


def _json(kind: type[msgspec.Struct]) -> dict[str, OpenAPIMediaType]:
    return {"application/json": OpenAPIMediaType(schema=_object(kind))}


def _form(kind: type[msgspec.Struct]) -> dict[str, OpenAPIMediaType]:
    file = Schema(
        type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description=_DESCRIPTIONS["file"]
    )
    return {"multipart/form-data": OpenAPIMediaType(schema=_object(kind, file=file))}


@dataclass
class TaskOperation(Operation):
    """The operation of `POST /augmentation/tasks`."""

    def __post_init__(self) -> None:
        content = {**_json(TaskOrder), **_form(TaskOrderOfFiles)}
        self.request_body = RequestBody(required=True, content=content)


@dataclass
class BatchOperation(Operation):
    """The operation of `POST /augmentation/batch`."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(required=True, content=_json(BatchOrder))


@dataclass
class ScaleOperation(Operation):
    """The operation of `POST /augmentation/scale`."""

    def __post_init__(self) -> None:
        content = {**_json(ScaleOrderOfImage), **_form(ScaleOrder)}
        self.request_body = RequestBody(required=True, content=content)
