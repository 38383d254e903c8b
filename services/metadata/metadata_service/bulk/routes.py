"""HTTP of edits of many pictures: parse, call, answer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

import msgspec
from imagesystem import ids
from imagesystem.bus import Bus
from imagesystem.errors import Rejected, WrongSequence
from imagesystem.events import BulkEdit
from imagesystem.ids import parse_image_id
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, SkipValidation

from metadata_service.bulk.records import Outcome, Status, Task
from metadata_service.bulk.shelf import PAGE, Shelf
from metadata_service.edits import Change, Edits
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.resolving import asked
from metadata_service.settings import Settings

__all__ = ["ROUTES", "Desk", "provide_desk"]

AnyRequest = Request[Any, Any, Any]
#: 100 000 ids are 4 MB.
MAX_BODY = 8 * 1024 * 1024
LATEST = 20
PLACE = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
OUTCOME_PARAMETERS: dict[str, Parameter] = {
    "cursor": Parameter(name="cursor", type=PLACE, description="`next` of the page before")
}
_encode = msgspec.json.Encoder().encode


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change, and of which pictures: `ids`, or all that a `query` finds.

    `query`: a line as in `q`, or the parameters of `GET /metadata/search`, each with one value or
    several. One that asks for nothing is refused: it would be all pictures.
    `change` is as for one picture; besides it has `add_tags` and `remove_tags`.
    """

    change: Change
    ids: list[str] | None = None
    query: str | dict[str, str | list[str]] | None = None


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """An edit of many pictures.

    `total`: how many pictures, null before they are found; `done`: dealt with so far, of which
    `failed` could not be edited (`…/results` says why); `error`: why the whole of it failed.
    """

    id: str
    status: Status
    total: int | None
    done: int
    failed: int
    change: Change
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    error: str | None


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    """The last tasks, newest first."""

    items: list[TaskView]


class OutcomeList(msgspec.Struct, frozen=True, kw_only=True):
    """What became of pictures, in the order of the task; `next`: null when there is no more yet."""

    items: list[Outcome]
    next: str | None
    count: int


class Desk:
    """Takes edits of many pictures."""

    def __init__(self, shelf: Shelf, bus: Bus, edits: Edits, settings: Settings) -> None:
        self.shelf = shelf
        self._bus = bus
        self._edits = edits
        self._most = settings.bulk_max

    async def begin(self, request: BulkRequest) -> Task:
        """Write down a task and have it begun; raises `Rejected` 400 for what cannot be done."""
        change = self._edits.cleaned(request.change)
        if change == Change():
            raise Rejected(400, "invalid_request", "`change` changes nothing")
        now = ids.now()
        task = Task(task_id=ids.new_id(), change=change, created_at=now, updated_at=now)
        if (request.ids is None) == (request.query is None):
            raise Rejected(400, "invalid_request", "give either `ids` or `query`")
        if request.query is not None:
            task = msgspec.structs.replace(task, query=_query(request.query))
        else:
            pictures = list(dict.fromkeys(parse_image_id(each) for each in request.ids or ()))
            if len(pictures) > self._most:
                raise Rejected(
                    400,
                    "limit_exceeded",
                    f"BULK_MAX is {self._most}, this has {len(pictures)}",
                    limit="BULK_MAX",
                    allowed=self._most,
                    actual=len(pictures),
                )
            task = msgspec.structs.replace(task, total=len(pictures))
            await self.shelf.list_pictures(task.task_id, pictures)
        await self.shelf.put(task, 0)
        with suppress(WrongSequence):  # it is asked for already
            command = BulkEdit(task_id=task.task_id, requested_at=now)
            await self._bus.publish(command, expected=0)
        return task


@post(
    "/metadata/bulk",
    status_code=202,
    request_max_body_size=MAX_BODY,
    responses={202: ResponseSpec(TaskView, generate_examples=False, description="It will be done")},
    summary="Edit many pictures",
    tags=["bulk"],
)
async def begin_bulk(
    request: AnyRequest,
    data: JSONBody[BulkRequest],
    bulk: NamedDependency[SkipValidation[Desk]],
) -> Response[bytes]:
    """Edit the pictures that are named, or that a query finds now, one after the other.

    It goes on until it is done, whichever process dies meanwhile. Nobody else's edit is lost.
    """
    read(request.query_params.multi_items(), {})
    task = await bulk.begin(data)
    return _json(_view(task), status=202, location=f"/metadata/bulk/{task.task_id}")


@get(
    "/metadata/bulk",
    responses={200: ResponseSpec(TaskList, generate_examples=False, description="At most twenty")},
    summary="The last edits of many pictures",
    tags=["bulk"],
)
async def list_bulk(
    request: AnyRequest, bulk: NamedDependency[SkipValidation[Desk]]
) -> Response[bytes]:
    """Return the last tasks, newest first; they are kept for a week."""
    read(request.query_params.multi_items(), {})
    return _json(TaskList(items=[_view(task) for task in await bulk.shelf.latest(LATEST)]))


@get(
    "/metadata/bulk/{task_id:str}",
    responses={200: ResponseSpec(TaskView, generate_examples=False, description="As it is now")},
    summary="How far an edit of many pictures has come",
    tags=["bulk"],
)
async def show_bulk(
    request: AnyRequest, task_id: FromPath[str], bulk: NamedDependency[SkipValidation[Desk]]
) -> Response[bytes]:
    """Return one task."""
    read(request.query_params.multi_items(), {})
    _, task = await bulk.shelf.get(task_id)
    return _json(_view(task))


@get(
    "/metadata/bulk/{task_id:str}/results",
    operation_class=operation(OUTCOME_PARAMETERS),
    responses={200: ResponseSpec(OutcomeList, generate_examples=False, description="A page")},
    summary="What became of each picture",
    tags=["bulk"],
)
async def show_outcomes(
    request: AnyRequest, task_id: FromPath[str], bulk: NamedDependency[SkipValidation[Desk]]
) -> Response[bytes]:
    """Return what became of the pictures, two hundred on a page."""
    given = read(request.query_params.multi_items(), OUTCOME_PARAMETERS)
    _, task = await bulk.shelf.get(task_id)
    page = given["cursor"] or 0
    items = await bulk.shelf.outcomes(task.task_id, page) if page * PAGE < task.done else []
    more = (page + 1) * PAGE < task.done
    following = str(page + 1) if more else None
    return _json(OutcomeList(items=items, next=following, count=len(items)))


def _query(given: str | Mapping[str, str | list[str]]) -> dict[str, list[str]]:
    """Return the parameters of a query; raises `Rejected` 400 for one that finds everything."""
    parameters = {"q": given} if isinstance(given, str) else given
    query = {k: [v] if isinstance(v, str) else v for k, v in parameters.items()}
    wanted = asked(query)
    if not wanted.conditions and wanted.words is None:
        raise Rejected(
            400,
            "invalid_request",
            "`query` asks for nothing, so that all pictures would be changed: if they are to be, "
            "say `uploaded>1970`",
        )
    return query


ROUTES = [begin_bulk, list_bulk, show_bulk, show_outcomes]


def _view(task: Task) -> TaskView:
    return TaskView(
        id=task.task_id,
        status=task.status,
        total=task.total,
        done=task.done,
        failed=task.failed,
        change=task.change,
        created_at=task.created_at,
        updated_at=task.updated_at,
        ended_at=task.ended_at,
        error=task.error,
    )


def _json(body: Any, *, status: int = 200, location: str | None = None) -> Response[bytes]:
    headers = {"cache-control": "no-store"} | ({"location": location} if location else {})
    return Response(_encode(body), status_code=status, media_type=MediaType.JSON, headers=headers)


def provide_desk(state: State) -> Desk:
    """Return the desk that the lifespan opened."""
    desk: Desk = state.bulk
    return desk
