"""HTTP: dead letters listed, shown, replayed, discarded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from imagesystem.dead_letters import Wanted
from imagesystem.dead_letters.views import (
    LetterList,
    LetterView,
    ReplayAccepted,
    ReplaysAccepted,
    accepted,
    accepted_all,
    letter_list,
    letter_view,
)
from imagesystem.ids import parse_image_id
from litestar import MediaType, Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, SkipValidation

from metadata_service.dead_letters.desk import Desk
from metadata_service.openapi import operation
from metadata_service.parameters import MOMENT, TEXT, Parameter, read

__all__ = ["ROUTES", "provide_desk"]

AnyRequest = Request[Any, Any, Any]
LIMIT = Annotated[int, msgspec.Meta(ge=1, le=200)]
POSITION = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]

CURSOR = Parameter(name="cursor", type=POSITION, description="`next` of the answer before")
WANTED: tuple[Parameter, ...] = (
    Parameter(name="consumer", type=TEXT, description="the durable consumer that gave up"),
    Parameter(name="code", type=TEXT, description="why it gave up, as in `code`"),
    Parameter(
        name="image",
        type=TEXT,
        translate=parse_image_id,
        description="id of the picture that it is about",
    ),
    Parameter(name="since", type=MOMENT, description="last attempt then or later (RFC 3339)"),
    Parameter(name="until", type=MOMENT, description="last attempt earlier than that (RFC 3339)"),
)
LIST_PARAMETERS: dict[str, Parameter] = {
    row.name: row
    for row in (
        Parameter(name="limit", type=LIMIT, default=50, description="letters on a page"),
        CURSOR,
        *WANTED,
    )
}
REPLAY_PARAMETERS: dict[str, Parameter] = {row.name: row for row in (CURSOR, *WANTED)}


@get(
    "/metadata/dead-letters",
    operation_class=operation(LIST_PARAMETERS),
    responses={
        200: ResponseSpec(LetterList, generate_examples=False, description="A page, newest first")
    },
    summary="What could not be handled, newest first, page by page",
    tags=["dead letters"],
)
async def list_letters(
    request: AnyRequest, desk: NamedDependency[SkipValidation[Desk]]
) -> Response[bytes]:
    """Return the dead letters of all services that meet every filter.

    They are read from their stream: they are there when MongoDB is not.
    """
    given = read(request.query_params.multi_items(), LIST_PARAMETERS)
    page = await desk.page(_wanted(given), given["cursor"], given["limit"])
    return _json(letter_list(page))


@get(
    "/metadata/dead-letters/{letter_id:str}",
    responses={
        200: ResponseSpec(LetterView, generate_examples=False, description="All that it holds")
    },
    summary="One dead letter: payload, headers, traceback",
    tags=["dead letters"],
)
async def show_letter(
    request: AnyRequest, letter_id: FromPath[str], desk: NamedDependency[SkipValidation[Desk]]
) -> Response[bytes]:
    """Return a dead letter with the message's whole body."""
    read(request.query_params.multi_items(), {})
    return _json(letter_view(await desk.show(letter_id)))


@post(
    "/metadata/dead-letters/{letter_id:str}/replay",
    status_code=202,
    responses={
        202: ResponseSpec(
            ReplayAccepted, generate_examples=False, description="It will be handled again"
        )
    },
    summary="Let the consumer that gave up try again",
    tags=["dead letters"],
)
async def replay_letter(
    request: AnyRequest, letter_id: FromPath[str], desk: NamedDependency[SkipValidation[Desk]]
) -> Response[bytes]:
    """Ask for a replay: the one consumer that gave up gets the message as it was.

    The letter goes when that succeeds; otherwise it is there again, with all attempts counted. A
    fact that was said anew since is not replayed: the consumer has heard the newer one.
    """
    read(request.query_params.multi_items(), {})
    letter, requested = await desk.replay(letter_id)
    return _json(accepted(letter, requested), status=202)


@post(
    "/metadata/dead-letters/replay",
    status_code=202,
    operation_class=operation(REPLAY_PARAMETERS),
    responses={
        202: ResponseSpec(
            ReplaysAccepted, generate_examples=False, description="They will be handled again"
        )
    },
    summary="Replay all that meet the filters",
    tags=["dead letters"],
)
async def replay_letters(
    request: AnyRequest, desk: NamedDependency[SkipValidation[Desk]]
) -> Response[bytes]:
    """Ask for replays of the letters that meet every filter, of 1000 at most, newest first."""
    given = read(request.query_params.multi_items(), REPLAY_PARAMETERS)
    asked = await desk.replay_all(_wanted(given), given["cursor"])
    return _json(accepted_all(asked), status=202)


@delete(
    "/metadata/dead-letters/{letter_id:str}",
    status_code=204,
    summary="Discard a dead letter for ever",
    tags=["dead letters"],
)
async def discard_letter(
    request: AnyRequest, letter_id: FromPath[str], desk: NamedDependency[SkipValidation[Desk]]
) -> None:
    """Delete a dead letter, and with it the message: it will never be handled."""
    read(request.query_params.multi_items(), {})
    await desk.discard(letter_id)


ROUTES = [list_letters, show_letter, replay_letter, replay_letters, discard_letter]


def provide_desk(state: State) -> Desk:
    """Return the desk of the running service."""
    desk: Desk = state.desk
    return desk


def _wanted(given: Mapping[str, Any]) -> Wanted:
    return Wanted(
        consumer=given["consumer"],
        code=given["code"],
        image_id=given["image"],
        since=given["since"],
        until=given["until"],
    )


def _json(
    body: LetterList | LetterView | ReplayAccepted | ReplaysAccepted, *, status: int = 200
) -> Response[bytes]:
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type=MediaType.JSON,
        headers={"cache-control": "no-store"},
    )
