"""HTTP of reruns: parse, call, stream how far it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import msgspec
from imagesystem.bus import Bus
from imagesystem.errors import ImageSystemError, Rejected
from imagesystem.events import INFERRED
from litestar import Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, SkipValidation
from litestar.response import Stream

from metadata_service.parameters import read
from metadata_service.reruns.search import Counts, Wanted, rerun

__all__ = ["ROUTES", "provide_bus"]

AnyRequest = Request[Any, Any, Any]
_encode = msgspec.json.Encoder().encode


class RerunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to ask for again: `missing`, `older_than` a version, `not_by` a model; one or more.

    `task`: one of the contract's; `not_by`: a model's name, or name and version with a space
    between; `dry_run`: count only.
    """

    task: Annotated[str, msgspec.Meta(max_length=100)]
    missing: bool = False
    older_than: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    not_by: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    dry_run: bool = False


@post(
    "/metadata/reruns",
    status_code=200,
    responses={
        200: ResponseSpec(
            Counts,
            generate_examples=False,
            media_type="application/x-ndjson",
            description="A line of counts every so often; the last has `ended`, or `error`",
        )
    },
    summary="Ask for a task again where its answer is absent or outdated",
    tags=["reruns"],
)
async def begin_rerun(
    request: AnyRequest,
    bus: NamedDependency[SkipValidation[Bus]],
    data: JSONBody[RerunRequest],
) -> Stream:
    """Walk through all images and ask inference for what is missing or older than a version.

    It ends when the client goes away; what was asked for stays asked for, and is not asked for
    twice. `status` of an image does not wait for a task that was not planned at its upload.
    """
    read(request.query_params.multi_items(), {})
    if data.task not in INFERRED:
        raise Rejected(
            400,
            "unknown_task",
            f"task {data.task!r} is none of {', '.join(sorted(INFERRED))}",
        )
    if not data.missing and data.older_than is None and data.not_by is None:
        raise Rejected(400, "nothing_wanted", "set missing, older_than or not_by")
    wanted = Wanted(
        task=data.task,
        missing=data.missing,
        older_than=data.older_than,
        not_by=data.not_by,
        dry_run=data.dry_run,
    )
    return Stream(
        _lines(bus, wanted),
        media_type="application/x-ndjson",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _lines(bus: Bus, wanted: Wanted) -> AsyncGenerator[bytes, None]:
    try:
        async for counts in rerun(bus, wanted):
            yield _encode(counts) + b"\n"
    except ImageSystemError as error:  # the status is sent already
        yield _encode({"code": error.code, "error": error.message}) + b"\n"


ROUTES = [begin_rerun]


def provide_bus(state: State) -> Bus:
    """Return what the lifespan put there."""
    bus: Bus = state.bus
    return bus
