"""HTTP of the live feed: parse, open, stream."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from litestar import Request, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, SkipValidation

from metadata_service.feeds.hub import Feed, Hub
from metadata_service.feeds.selection import Selection, parse_types
from metadata_service.openapi import operation
from metadata_service.parameters import TEXT, Parameter, read
from metadata_service.streams import EndingStream

__all__ = ["ROUTES", "provide_hub"]

AnyRequest = Request[Any, Any, Any]
SEQUENCE = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID", description="the last `id` that came: everything after it is sent"
    ),
]
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

PARAMETERS: dict[str, Parameter] = {
    row.name: row
    for row in (
        Parameter(
            name="types",
            type=Annotated[str, msgspec.Meta(min_length=1, max_length=2000)],
            description="types of facts, separated by commas: `uploaded,inferred.text,failed`; "
            "default all",
            translate=parse_types,
        ),
        Parameter(
            name="image",
            type=TEXT,
            description="facts about this image alone",
            translate=parse_image_id,
        ),
        Parameter(name="owner", type=TEXT, description="facts about this owner's images alone"),
        Parameter(
            name="after",
            type=SEQUENCE,
            description="as `Last-Event-ID`, which wins: everything after this sequence",
        ),
    )
}


@get(
    "/metadata/events",
    operation_class=operation(PARAMETERS),
    responses={
        200: ResponseSpec(
            str,
            generate_examples=False,
            media_type="text/event-stream",
            description="Server-sent events, without end: `id` is the sequence in the log, "
            "`data` a CloudEvent in JSON",
        )
    },
    summary="Every fact as it is said",
    tags=["events"],
)
async def follow_events(
    request: AnyRequest,
    hub: NamedDependency[SkipValidation[Hub]],
    last_event_id: LastEventId = None,
) -> EndingStream:
    """Stream facts to a browser's `EventSource`, from now on or after `Last-Event-ID`.

    Resumed from further back, it begins with the latest state of every fact since; superseded
    states are skipped. A comment comes when nothing else does (`FEED_KEEP_ALIVE_S`).
    """
    given = read(request.query_params.multi_items(), PARAMETERS)
    after = given["after"]
    if last_event_id is not None and last_event_id.strip():
        after = _sequence(last_event_id.strip())
    selection = Selection(
        types=given["types"] or frozenset(), image_id=given["image"], owner=given["owner"]
    )
    return event_stream(hub.open(selection, after))


def event_stream(feed: Feed) -> EndingStream:
    """Return a feed as an answer; a reader who is dropped resumes by its last id."""

    async def end() -> None:
        feed.close()

    return EndingStream(feed.frames(), end, media_type="text/event-stream", headers=HEADERS)


def _sequence(text: str) -> int:
    try:
        return int(msgspec.convert(text, SEQUENCE, strict=False))
    except msgspec.ValidationError as error:
        raise Rejected(
            400,
            "malformed_last_event_id",
            f"Last-Event-ID: {text[:100]!r} is no id that this feed gave",
        ) from error


def provide_hub(state: State) -> Hub:
    """Return the feeds of this process."""
    hub: Hub = state.hub
    return hub


ROUTES = [follow_events]
