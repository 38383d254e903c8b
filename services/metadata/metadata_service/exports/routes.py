"""HTTP of exports: parse, and stream what is found."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from imagesystem.errors import Rejected
from litestar import Request, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from metadata_service.exports.formats import FORMATS, FormatName, Writer
from metadata_service.exports.parquet import Press
from metadata_service.library import Library
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.queries import RELEVANCE, SORTS, Page, Query
from metadata_service.search.asking import FOUND_BY, LISTED_BY
from metadata_service.search.asking import found as asked_for
from metadata_service.streams import EndingStream
from metadata_service.views import Selection, image_view

__all__ = ["ROUTES", "provide_press"]

AnyRequest = Request[Any, Any, Any]
#: Pictures read at once, and bytes sent at once.
PAGE, PIECE_BYTES = 500, 64 * 1024
#: `format` is what an export is written in; `media_type` narrows by what the originals are.
EXPORTED_BY: dict[str, Parameter] = {
    **{name: row for name, row in FOUND_BY.items() if name != "format"},
    "format": Parameter(
        name="format",
        type=FormatName,
        default="jsonl",
        description="jsonl: everything, a picture a line; csv, parquet: a table",
    ),
    **{name: LISTED_BY[name] for name in ("sort", "fields")},
}


@get(
    "/metadata/export",
    operation_class=operation(EXPORTED_BY),
    responses={
        200: ResponseSpec(
            str,
            generate_examples=False,
            media_type="application/x-ndjson",
            description="The pictures; as text/csv or application/vnd.apache.parquet if asked for",
        ),
    },
    summary="Everything that is found, as a file",
    tags=["images"],
)
async def export(
    request: AnyRequest,
    library: NamedDependency[SkipValidation[Library]],
    press: NamedDependency[SkipValidation[Press]],
) -> EndingStream:
    """Return all pictures that meet the query and every filter, however many, as they are read.

    What is uploaded meanwhile may or may not be among them; nothing is there twice.
    """
    given = read(request.query_params.multi_items(), EXPORTED_BY)
    name: FormatName = given["format"]
    form = FORMATS[name]
    selection = form.selection
    if given["fields"] is not None:
        if name != "jsonl":
            raise Rejected(400, "invalid_parameter", "fields: only with format=jsonl")
        selection = Selection.parse(given["fields"])
    query = msgspec.structs.replace(
        asked_for({**given, "format": None}),
        sort=SORTS[given["sort"] or "newest"],
        limit=PAGE,
        paths=selection.paths or None,
    )
    if query.sort is RELEVANCE and query.words is None:
        raise Rejected(400, "invalid_parameter", "sort=relevance needs words in q")
    # What is wrong with the question, or in the way of an answer, is said as a status.
    first = await library.page(query)
    async with AsyncExitStack() as begun:
        writer = await begun.enter_async_context(form.begin(press))
        return EndingStream(
            _written(library, query, first, selection, writer),
            begun.pop_all().aclose,
            media_type=form.media_type,
            headers={
                "cache-control": "no-store",
                "content-disposition": f'attachment; filename="images.{name}"',
                "x-accel-buffering": "no",
            },
        )


async def _written(
    library: Library, query: Query, page: Page, selection: Selection, writer: Writer
) -> AsyncGenerator[bytes, None]:
    while True:
        if page.rows:
            written = await writer.write([image_view(row, selection) for row in page.rows])
            for piece in _pieces(written):
                yield piece
        if page.next is None:
            break
        page = await library.page(msgspec.structs.replace(query, after=page.next))
    for piece in _pieces(await writer.close()):
        yield piece


def _pieces(written: bytes) -> Iterator[bytes]:
    """Yield it in pieces so small that a slow reader has taken one before it seems to stall."""
    for begin in range(0, len(written), PIECE_BYTES):
        yield written[begin : begin + PIECE_BYTES]


def provide_press(state: State) -> Press:
    """Return what writes Parquet in this process."""
    press: Press = state.press
    return press


ROUTES = [export]
