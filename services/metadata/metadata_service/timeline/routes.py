"""HTTP of timelines: parse, call, answer."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from imagesystem.ids import parse_image_id
from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, SkipValidation

from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.timeline.stages import Timeline, Timelines

__all__ = ["ROUTES", "provide_timelines"]

AnyRequest = Request[Any, Any, Any]
_encode = msgspec.json.Encoder().encode

PARAMETERS: dict[str, Parameter] = {
    row.name: row
    for row in (
        Parameter(
            name="after",
            type=Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)],
            description="`next` of the page before",
            default=0,
        ),
        Parameter(
            name="limit",
            type=Annotated[int, msgspec.Meta(ge=1, le=1000)],
            description="stages on a page, up to 1000 (an image may have any number of variants)",
            default=200,
        ),
    )
}


@get(
    "/metadata/images/{image_id:str}/timeline",
    operation_class=operation(PARAMETERS),
    responses={
        200: ResponseSpec(Timeline, generate_examples=False, description="In the order of the log")
    },
    summary="What happened to one picture, and when",
    tags=["images"],
)
async def show_timeline(
    request: AnyRequest,
    image_id: FromPath[str],
    timelines: NamedDependency[SkipValidation[Timelines]],
) -> Response[bytes]:
    """Return every stage with its attempts, duration, model, error and trace.

    It is read from the event log, and so is there when the database is not.
    """
    given = read(request.query_params.multi_items(), PARAMETERS)
    found = await timelines.read(
        parse_image_id(image_id), after=given["after"], limit=given["limit"]
    )
    return Response(
        _encode(found),
        media_type=MediaType.JSON,
        headers={"cache-control": "private, no-cache"},
    )


ROUTES = [show_timeline]


def provide_timelines(state: State) -> Timelines:
    """Return what the lifespan put there."""
    timelines: Timelines = state.timelines
    return timelines
