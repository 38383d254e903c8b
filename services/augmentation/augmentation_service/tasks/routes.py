"""HTTP of tasks: parse, call, answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from imagesystem.errors import Rejected
from imagesystem.objects import Bucket
from litestar import MediaType, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from litestar.response import Stream

from augmentation_service.tasks.counter import Counter
from augmentation_service.tasks.documents import Outcome, Task
from augmentation_service.tasks.exports import EXPORTS, ExportFormat
from augmentation_service.tasks.floor import Floor
from augmentation_service.tasks.openapi import (
    ACCEPTED,
    REPORT,
    RESULTS,
    TASKS,
    BatchOperation,
    ScaleOperation,
    TaskOperation,
)
from augmentation_service.tasks.reports import Reports

__all__ = ["ROUTES", "Desk"]

AnyRequest = Request[Any, Any, Any]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=1000)]
Cursor = Annotated[int, QueryParameter(name="cursor", ge=0, le=2**63 - 1)]
_NO_STORE = {"cache-control": "no-store"}
ZIP = "application/zip"


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes of tasks call."""

    counter: Counter
    reports: Reports
    floor: Floor
    variants: Bucket


class PauseOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long all units shall wait, in seconds."""

    for_s: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]


class PauseReport(msgspec.Struct, frozen=True, kw_only=True):
    """Until when all units wait; null: they do not."""

    paused_until: datetime | None


GivenDesk = NamedDependency[SkipValidation[Desk]]


def _json(
    body: object, status: int = 200, headers: dict[str, str] | None = None
) -> Response[bytes]:
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type=MediaType.JSON,
        headers={**_NO_STORE, **(headers or {})},
    )


async def _accepted(desk: Desk, task: Task) -> Response[bytes]:
    report = await desk.reports.report(task)
    return _json(report, 202, {"location": f"/augmentation/tasks/{task.task_id}"})


def _must_be_json(request: AnyRequest) -> None:
    if request.content_type[0] != "application/json":
        raise Rejected(
            415,
            "unsupported_media_type",
            "send application/json",
            headers={"accept-post": "application/json"},
        )


@post(
    "/augmentation/tasks",
    status_code=202,
    request_max_body_size=None,  # the body is counted as it is read
    operation_class=TaskOperation,
    responses=ACCEPTED,
    tags=["tasks"],
)
async def order_task(request: AnyRequest, desk: GivenDesk) -> Response[bytes]:
    """Make variants of many pictures: of `ids`, of what a `query` finds, or of files in a form."""
    kind, _ = request.content_type
    if kind == "multipart/form-data":
        task = await desk.counter.augment_files(request.receive, request.headers)
    else:
        _must_be_json(request)
        task = await desk.counter.augment(request.receive, request.headers)
    return await _accepted(desk, task)


@post(
    "/augmentation/batch",
    status_code=202,
    request_max_body_size=None,  # the body is counted as it is read
    operation_class=BatchOperation,
    responses=ACCEPTED,
    tags=["tasks"],
)
async def order_batch(request: AnyRequest, desk: GivenDesk) -> Response[bytes]:
    """Do every one of `operations` (resize, crop, filter, enhance, convert) on many `ids`."""
    _must_be_json(request)
    return await _accepted(desk, await desk.counter.batch(request.receive, request.headers))


@post(
    "/augmentation/scale",
    status_code=202,
    request_max_body_size=None,  # the body is counted as it is read
    operation_class=ScaleOperation,
    responses=ACCEPTED,
    tags=["tasks"],
)
async def order_scaling(request: AnyRequest, desk: GivenDesk) -> Response[bytes]:
    """Scale an image (JSON with an `image_id`) or a picture that is sent (a form with a `file`).

    The other fields: `width`, `height`, `preserve_ratio`, `format`, `quality`.
    """
    kind, _ = request.content_type
    if kind == "multipart/form-data":
        task = await desk.counter.scale_upload(request.receive, request.headers)
    else:
        _must_be_json(request)
        task = await desk.counter.scale_image(request.receive, request.headers)
    return await _accepted(desk, task)


@get("/augmentation/tasks", responses=TASKS, tags=["tasks"])
async def list_tasks(desk: GivenDesk, limit: Limit = 50, cursor: Cursor = 0) -> Response[bytes]:
    """List tasks, oldest first."""
    return _json(await desk.reports.reports(cursor, min(limit, 100)))


@get("/augmentation/tasks/{task_id:str}", responses=REPORT, tags=["tasks"])
async def show_task(task_id: FromPath[str], desk: GivenDesk) -> Response[bytes]:
    """Tell how far a task is."""
    return _json(await desk.reports.report(await desk.reports.task(task_id)))


async def _cancelled(task_id: str, desk: Desk) -> Response[bytes]:
    task = await desk.reports.task(task_id)
    await desk.floor.cancel(task)
    return _json(await desk.reports.report(task), 202)


@post(
    "/augmentation/tasks/{task_id:str}/pause", status_code=202, responses=ACCEPTED, tags=["tasks"]
)
async def pause_task(task_id: FromPath[str], desk: GivenDesk) -> Response[bytes]:
    """Make no units of a task for now; it stays so until it is resumed, or expires."""
    task = await desk.reports.task(task_id)
    await desk.floor.pause(task)
    return _json(await desk.reports.report(task), 202)


@post(
    "/augmentation/tasks/{task_id:str}/resume", status_code=202, responses=ACCEPTED, tags=["tasks"]
)
async def resume_task(task_id: FromPath[str], desk: GivenDesk) -> Response[bytes]:
    """Let a paused task go on: what has no result yet is made."""
    task = await desk.reports.task(task_id)
    await desk.floor.resume(task)
    return _json(await desk.reports.report(task), 202)


@post("/augmentation/pause", status_code=200, tags=["tasks"])
async def pause_all(data: JSONBody[PauseOrder], desk: GivenDesk) -> PauseReport:
    """Let all units wait, on all replicas, for `for_s` seconds; they go on by themselves then."""
    return PauseReport(paused_until=await desk.floor.pause_all(data.for_s))


@post("/augmentation/resume", status_code=200, tags=["tasks"])
async def resume_all(desk: GivenDesk) -> PauseReport:
    """End a pause of all units, whoever began it."""
    await desk.floor.resume_all()
    return PauseReport(paused_until=None)


@post(
    "/augmentation/tasks/{task_id:str}/cancel", status_code=202, responses=ACCEPTED, tags=["tasks"]
)
async def cancel_task(task_id: FromPath[str], desk: GivenDesk) -> Response[bytes]:
    """Make no more units of a task; what is made stays. A task that is over stays as it is."""
    return await _cancelled(task_id, desk)


@delete("/augmentation/tasks/{task_id:str}", status_code=202, responses=ACCEPTED, tags=["tasks"])
async def delete_task(task_id: FromPath[str], desk: GivenDesk) -> Response[bytes]:
    """Cancel a task, as `POST …/cancel` does."""
    return await _cancelled(task_id, desk)


@get("/augmentation/results/{task_id:str}", responses=RESULTS, tags=["results"])
async def list_results(
    task_id: FromPath[str],
    request: AnyRequest,
    desk: GivenDesk,
    *,
    limit: Limit = 100,
    cursor: Cursor = 0,
    outcome: Annotated[Outcome, QueryParameter(name="outcome")] = "done",
    format_: Annotated[Literal["json"] | ExportFormat | None, QueryParameter(name="format")] = None,
) -> Response[bytes] | Stream:
    """List the results of a task, or send all its pictures as one file.

    `format`: `zip` (also for `Accept: application/zip`), `webdataset` (a tar), or a data set in a
    ZIP with the labels of its variants: `coco`, `yolo`, `voc`.
    """
    task = await desk.reports.task(task_id)
    preferred = request.accept.best_match([MediaType.JSON, ZIP])
    wanted = ("zip" if preferred == ZIP else "json") if format_ is None else format_
    if wanted != "json":
        export = EXPORTS[wanted]
        name = f'attachment; filename="{task_id}.{export.extension}"'
        return Stream(
            export.make(desk.floor.exporter(task)),
            media_type=export.media_type,
            headers={**_NO_STORE, "content-disposition": name, "vary": "accept"},
        )
    page = await desk.reports.results(task, outcome, cursor, limit)
    return _json(page, headers={"vary": "accept"})


@get("/augmentation/results/{task_id:str}/{variant_id:str}", tags=["results"])
async def send_result(
    task_id: FromPath[str], variant_id: FromPath[str], request: AnyRequest, desk: GivenDesk
) -> Response[bytes] | Stream:
    """Send one picture of a task."""
    task = await desk.reports.task(task_id)
    result = await desk.reports.result(task, variant_id)
    info = await desk.variants.info(result.object or "")
    if info is None:
        raise Rejected(410, "variant_gone", f"{variant_id} is gone: its image was deleted")
    headers = {
        "etag": f'"{info.digest[:32]}"',
        "cache-control": "private, no-cache",
        "x-content-type-options": "nosniff",
    }
    given = request.headers.get("if-none-match", "")
    if headers["etag"] in given or given.strip() == "*":
        return Response(b"", status_code=304, headers=headers)
    headers["content-length"] = str(info.size)
    content = desk.variants.read(info)
    return Stream(content, media_type=result.media_type or "", headers=headers)


ROUTES = [
    order_task,
    order_batch,
    order_scaling,
    list_tasks,
    show_task,
    cancel_task,
    delete_task,
    pause_task,
    resume_task,
    pause_all,
    resume_all,
    list_results,
    send_result,
]
