"""HTTP of rebuilds: parse, call, answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from imagesystem.errors import Rejected
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, SkipValidation

from metadata_service.parameters import read
from metadata_service.rebuilds.rebuilder import Rebuilder
from metadata_service.rebuilds.records import Difference, Fingerprint, Phase, Reason, Rebuild

__all__ = ["ROUTES", "provide_rebuilder"]

AnyRequest = Request[Any, Any, Any]
_encode = msgspec.json.Encoder().encode


class RebuildRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to rebuild. `accept_loss`: also if images are known here that the log does not know."""

    accept_loss: bool = False


class RebuildView(msgspec.Struct, frozen=True, kw_only=True):
    """One rebuild of the read model.

    `phase` goes from `waiting` over `loading`, `indexing`, `comparing`, `swapping` and `settling`
    to `done`, or ends in `refused` or `failed` (`error` says why; what was served still is).
    `facts`: read from the log so far, `pending`: behind them; `unread`: facts left out because
    the contract cannot read them or they cannot be stored; `load_seconds`: spent on reading and
    writing. `before`, `after`: how many documents there were and are, and the digest over the
    state of all of them; `same`: whether they are equal; `differing`: how many images differ,
    `differences`: the first thousand.
    """

    id: str
    reason: Reason
    phase: Phase
    requested_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    facts: int
    pending: int
    unread: int
    load_seconds: float
    attempts: int
    before: Fingerprint | None
    after: Fingerprint | None
    same: bool | None
    differing: int
    differences: list[Difference]
    error: str | None


class RebuildList(msgspec.Struct, frozen=True, kw_only=True):
    """The last rebuilds, newest first; their differences are told one by one only alone."""

    items: list[RebuildView]


@post(
    "/metadata/rebuilds",
    status_code=202,
    responses={
        200: ResponseSpec(
            RebuildView, generate_examples=False, description="One is under way already: that one"
        ),
        202: ResponseSpec(RebuildView, generate_examples=False, description="It will be done"),
    },
    summary="Rebuild the read model from the event log",
    tags=["rebuilds"],
)
async def begin_rebuild(
    request: AnyRequest,
    rebuilder: NamedDependency[SkipValidation[Rebuilder]],
    data: JSONBody[RebuildRequest],
) -> Response[bytes]:
    """Replay the log into new documents beside those that are served, then exchange them.

    It goes on until it is done, whichever process dies meanwhile. If images are known here of
    which the log knows nothing, it is refused unless `accept_loss` is set.
    """
    read(request.query_params.multi_items(), {})
    rebuild, new = await rebuilder.ask("asked", accept_loss=data.accept_loss)
    return _json(view(rebuild), status=202 if new else 200, location=rebuild.rebuild_id)


@get(
    "/metadata/rebuilds",
    responses={
        200: ResponseSpec(RebuildList, generate_examples=False, description="At most twenty")
    },
    summary="The last rebuilds",
    tags=["rebuilds"],
)
async def list_rebuilds(
    request: AnyRequest, rebuilder: NamedDependency[SkipValidation[Rebuilder]]
) -> Response[bytes]:
    """Return the last rebuilds, newest first."""
    read(request.query_params.multi_items(), {})
    found = [view(each, differences=False) for each in await rebuilder.latest()]
    return _json(RebuildList(items=found))


@get(
    "/metadata/rebuilds/{rebuild_id:str}",
    responses={200: ResponseSpec(RebuildView, generate_examples=False, description="As it is now")},
    summary="How far a rebuild has come, and what it found",
    tags=["rebuilds"],
)
async def show_rebuild(
    request: AnyRequest,
    rebuild_id: FromPath[str],
    rebuilder: NamedDependency[SkipValidation[Rebuilder]],
) -> Response[bytes]:
    """Return one rebuild."""
    read(request.query_params.multi_items(), {})
    rebuild = await rebuilder.find(rebuild_id)
    if rebuild is None:
        raise Rejected(404, "unknown_rebuild", f"there is no rebuild {rebuild_id[:100]!r}")
    return _json(view(rebuild))


ROUTES = [begin_rebuild, list_rebuilds, show_rebuild]


def provide_rebuilder(state: State) -> Rebuilder:
    """Return what the lifespan put there."""
    rebuilder: Rebuilder = state.rebuilder
    return rebuilder


def view(rebuild: Rebuild, *, differences: bool = True) -> RebuildView:
    """Return a rebuild as people and programs see it."""
    compared = rebuild.before is not None and rebuild.after is not None
    return RebuildView(
        id=rebuild.rebuild_id,
        reason=rebuild.reason,
        phase=rebuild.phase,
        requested_at=rebuild.requested_at,
        updated_at=rebuild.updated_at,
        ended_at=rebuild.ended_at,
        facts=rebuild.facts,
        pending=rebuild.pending,
        unread=rebuild.unread,
        load_seconds=rebuild.load_seconds,
        attempts=rebuild.attempts,
        before=rebuild.before,
        after=rebuild.after,
        same=rebuild.before == rebuild.after if compared else None,
        differing=rebuild.differing,
        differences=rebuild.differences if differences else [],
        error=rebuild.error,
    )


def _json(
    body: RebuildView | RebuildList, *, status: int = 200, location: str | None = None
) -> Response[bytes]:
    headers = {"cache-control": "no-store"}
    if location is not None:
        headers["location"] = f"/metadata/rebuilds/{location}"
    return Response(_encode(body), status_code=status, media_type=MediaType.JSON, headers=headers)
