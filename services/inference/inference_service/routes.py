"""HTTP: the tasks there are, a picture looked at now, a task run again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from imagesystem import ids
from imagesystem.errors import Rejected
from imagesystem.events import Infer
from imagesystem.ids import parse_image_id
from litestar import Request, get, post
from litestar.datastructures import FormMultiDict, State, UploadFile
from litestar.exceptions import HTTPException
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)
from litestar.params import FromPath
from litestar.types import Receive

from inference_service.recognition import Recognition
from inference_service.settings import Settings
from inference_service.tasks import TASKS, Result

__all__ = ["Answer", "Model", "Models", "routes"]

#: What a multipart body has besides the file: boundaries, headers of the parts.
FORM_BYTES = 64 * 1024
FILE_FIELDS = ("file", "image")
#: Seconds without a byte of a body after which a request is given up.
IDLE_S = 60.0


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A task and what answers it; `active`: it runs on every upload."""

    task: str
    model: str
    version: str
    description: str
    active: bool


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """All tasks."""

    models: list[Model]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a task found in a picture; as in its `inferred` fact."""

    task: str
    model: str
    model_version: str
    duration_ms: float
    result: Result


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The task will run; its answer will be the fact on `subject`."""

    image_id: str
    task: str
    subject: str


class OfImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An uploaded image, instead of a file."""

    image_id: str


@dataclass
class PictureOperation(Operation):
    """The request body of `answer_now`, for OpenAPI: a form with a file, or JSON with an id."""

    def __post_init__(self) -> None:
        """Describe the two bodies."""
        file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(type=OpenAPIType.OBJECT, properties={"file": file}, required=["file"])
        image_id = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID)
        of_image = Schema(
            type=OpenAPIType.OBJECT, properties={"image_id": image_id}, required=["image_id"]
        )
        self.request_body = RequestBody(
            required=True,
            content={
                "multipart/form-data": OpenAPIMediaType(schema=form),
                "application/json": OpenAPIMediaType(schema=of_image),
            },
        )


@get("/inference/models", tags=["inference"])
async def list_models(state: State) -> Models:
    """List the tasks, the model behind each, and whether it runs on every upload."""
    settings: Settings = state.settings
    return Models(
        models=[
            Model(
                task=task.name,
                model=task.model,
                version=task.version,
                description=task.description,
                active=task.name in settings.planned_tasks,
            )
            for task in TASKS.values()
        ]
    )


@post(
    "/inference/{task:str}",
    tags=["inference"],
    status_code=200,
    operation_class=PictureOperation,
)
async def answer_now(task: FromPath[str], request: Request[None, None, State]) -> Answer:
    """Run a task on a file (field `file` or `image`) or on an uploaded image; nothing is kept."""
    row = TASKS[_known(task)]
    recognition: Recognition = request.app.state.recognition
    data = await _picture_of(request, recognition)
    result, duration_ms = await recognition.answer(data, task)
    return Answer(
        task=task,
        model=row.model,
        model_version=row.version,
        duration_ms=duration_ms,
        result=result,
    )


@post("/inference/images/{image_id:str}/{task:str}", tags=["inference"], status_code=202)
async def infer_again(image_id: FromPath[str], task: FromPath[str], state: State) -> Accepted:
    """Run a task on an uploaded image again; the answer comes as a fact."""
    recognition: Recognition = state.recognition
    image_id = parse_image_id(image_id)
    command = Infer(image_id=image_id, task=_known(task), requested_at=ids.now())
    await recognition.request(command)
    subject = f"images.v1.{image_id}.inferred.{task}"
    return Accepted(image_id=image_id, task=task, subject=subject)


routes = [list_models, answer_now, infer_again]


def _known(task: str) -> str:
    if task not in TASKS:
        raise Rejected(404, "unknown_task", f"{task[:64]!r} is none of {', '.join(TASKS)}")
    return task


async def _picture_of(request: Request[None, None, State], recognition: Recognition) -> bytes:
    """Return the bytes of the picture that the body holds or names."""
    content_type = request.content_type[0]
    request.receive = _impatient(request.receive)
    if content_type == "multipart/form-data":
        with _body_errors(request):
            form = await request.form()
        return await _file_of(form, request.app.state.settings)
    if content_type == "application/json":
        with _body_errors(request):
            body = await request.body()
        try:
            image = msgspec.json.decode(body, type=OfImage)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Rejected(400, "invalid_request", str(error)) from error
        return await recognition.uploaded(parse_image_id(image.image_id))
    raise Rejected(
        415,
        "unsupported_media_type",
        "send multipart/form-data with a file, or application/json with an image_id",
    )


def _impatient(receive: Receive) -> Receive:
    """Return ASGI's `receive` that raises `Rejected` 408 when nothing comes for `IDLE_S`."""

    async def received() -> Any:
        try:
            async with asyncio.timeout(IDLE_S):
                return await receive()
        except TimeoutError as error:
            raise Rejected(
                408,
                "body_timeout",
                f"no byte of the body came for {IDLE_S:g} s",
                headers={"connection": "close"},
            ) from error

    return received


@contextmanager
def _body_errors(request: Request[None, None, State]) -> Iterator[None]:
    """Tell the limit, and take neither a client that left nor its text for a fault of ours."""
    settings: Settings = request.app.state.settings
    try:
        yield
    except (UnicodeDecodeError, LookupError) as error:
        # Litestar decodes a field that is no file, in whatever charset the part names
        raise Rejected(
            400, "malformed_multipart", "the form cannot be read: a field is no text"
        ) from error
    except HTTPException as error:
        if error.status_code >= 500:
            raise Rejected(400, "incomplete_body", "the body ended early") from error
        if error.status_code == 413:
            raise _too_large(settings, request.headers.get("content-length")) from error
        raise


def _too_large(settings: Settings, actual: int | str | None) -> Rejected:
    return Rejected(
        413,
        "body_too_large",
        f"the file has more than {settings.max_upload_bytes} bytes",
        limit="MAX_UPLOAD_BYTES",
        allowed=settings.max_upload_bytes,
        actual=actual,
    )


async def _file_of(form: FormMultiDict, settings: Settings) -> bytes:
    fields = list(form.multi_items())
    unknown = [name for name, _ in fields if name not in FILE_FIELDS]
    files = [value for _, value in fields if isinstance(value, UploadFile)]
    if unknown:
        raise Rejected(
            400, "unknown_field", f"there is no field {unknown[0][:100]!r}; send file (or image)"
        )
    if not files:
        raise Rejected(
            400, "missing_file", "the form has no field `file` (or `image`) with a picture"
        )
    if len(files) > 1:
        raise Rejected(
            400, "too_many_files", "send one picture at a time", allowed=1, actual=len(files)
        )
    (file,) = files
    data = await file.read()
    if len(data) > settings.max_upload_bytes:
        raise _too_large(settings, len(data))
    return data
