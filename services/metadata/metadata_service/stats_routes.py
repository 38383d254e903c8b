"""HTTP of statistics."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from metadata_service.library import Library
from metadata_service.parameters import read
from metadata_service.stats import Stats

__all__ = ["ROUTES"]

AnyRequest = Request[Any, Any, Any]


@get(
    "/metadata/stats",
    responses={200: ResponseSpec(Stats, generate_examples=False, description="The counts")},
    summary="Counts over all pictures",
    tags=["images"],
)
async def show_stats(
    request: AnyRequest, library: NamedDependency[SkipValidation[Library]]
) -> Response[bytes]:
    """Return how many pictures and bytes there are, of what kinds, and how far the analysis is.

    The counts are up to `STATS_KEPT_S` seconds old: `counted_at` says when they were made.
    """
    read(request.query_params.multi_items(), {})
    return Response(
        msgspec.json.encode(await library.stats()),
        media_type=MediaType.JSON,
        headers={"cache-control": "private, no-cache"},
    )


ROUTES = [show_stats]
