"""HTTP: lists and searches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from imagesystem.errors import Rejected
from litestar import MediaType, Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from metadata_service.cursors import Cursors
from metadata_service.library import Library
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.queries import Page, Query, Row, Sort
from metadata_service.search.asking import LISTED_BY, asked
from metadata_service.search.facets import FACETS, Counts
from metadata_service.search.meaning import Compared, Meanings
from metadata_service.search.shown import Shown
from metadata_service.search.words import Match, explained
from metadata_service.settings import Settings
from metadata_service.views import LISTED, ImageList, Selection, encode, image_view, matched

__all__ = ["ROUTES", "provide_meanings", "provide_shown"]

AnyRequest = Request[Any, Any, Any]
#: A list changes as pictures arrive.
CACHE_CONTROL = "private, no-cache"
NAMES = Annotated[str, msgspec.Meta(max_length=300)]
MEANT = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
SEARCHED_BY: dict[str, Parameter] = LISTED_BY | {
    row.name: row
    for row in (
        Parameter(
            name="facets",
            type=NAMES,
            description="count the values of these fields among what is found, with commas: "
            + ", ".join(FACETS),
        ),
        Parameter(
            name="text",
            type=MEANT,
            description="search by meaning: pictures that show what this says, nearest first, of "
            "those that meet q and the filters (needs a model that understands texts and pictures)",
        ),
    )
}


class Found(ImageList, frozen=True, kw_only=True):
    """A page of what a search found, and the counts of facets where asked for.

    `compared`: where it was searched by meaning; each `score` is the cosine then.
    """

    facets: Counts | msgspec.UnsetType = msgspec.UNSET
    compared: Compared | msgspec.UnsetType = msgspec.UNSET


@get(
    "/metadata/images/list",
    operation_class=operation(LISTED_BY),
    responses={
        200: ResponseSpec(ImageList, generate_examples=False, description="A page, newest first")
    },
    summary="The pictures, newest first, page by page",
    tags=["images"],
)
async def list_images(
    request: AnyRequest,
    library: NamedDependency[SkipValidation[Library]],
    cursors: NamedDependency[SkipValidation[Cursors]],
    settings: NamedDependency[SkipValidation[Settings]],
    shown: NamedDependency[SkipValidation[Shown]],
) -> Response[bytes]:
    """Return the pictures that meet every filter.

    A page is stable while pictures are added: what came later is not on later pages.
    """
    given = read(request.query_params.multi_items(), LISTED_BY)
    query, selection = asked(given, cursors, settings, best_first=False)
    listed, total = await asyncio.gather(
        _listed(library, shown, query, selection, cursors), _total(library, query, given["total"])
    )
    return _json(listed | total)


@get(
    "/metadata/search",
    operation_class=operation(SEARCHED_BY),
    responses={
        200: ResponseSpec(Found, generate_examples=False, description="A page, best match first")
    },
    summary="Search by words, by meaning, by everything known, or all of it",
    tags=["images"],
)
async def search(
    request: AnyRequest,
    *,
    library: NamedDependency[SkipValidation[Library]],
    cursors: NamedDependency[SkipValidation[Cursors]],
    settings: NamedDependency[SkipValidation[Settings]],
    meanings: NamedDependency[SkipValidation[Meanings]],
    shown: NamedDependency[SkipValidation[Shown]],
) -> Response[bytes]:
    """Return the pictures that meet the query and every filter, and why.

    `q` is a line of words and terms. Where words are looked for, each picture says in which
    fields they were found (`matches`), and what that is worth (`score`, the sum). With `text`,
    the picture's embedding is what matches.
    """
    given = read(request.query_params.multi_items(), SEARCHED_BY)
    query, selection = asked(given, cursors, settings, best_first=True)
    if given["text"] is not None:
        _inapplicable(given, "total", "facets")
        least = -1.0 if given["min_score"] is None else given["min_score"]
        page, compared = await meanings.page(given["text"], query, least)
        items = [_meant(row, selection, given["text"]) for row in page.rows]
        found = {"items": items, "next": _next(page, query.sort, cursors), "count": len(items)}
        return _json(found | {"compared": compared})
    listed, total, facets = await asyncio.gather(
        _listed(library, shown, query, selection, cursors),
        _total(library, query, given["total"]),
        _facets(library, query, given["facets"]),
    )
    return _json(listed | total | facets)


ROUTES = [list_images, search]


def _inapplicable(given: Row, *names: str) -> None:
    for name in names:
        if given[name]:
            raise Rejected(
                400,
                "parameter_not_applicable",
                f"text brings pictures into an order and leaves none out: ask for {name} without",
            )


async def _total(library: Library, query: Query, wanted: bool) -> Row:
    return {"total": await library.total(query)} if wanted else {}


async def _facets(library: Library, query: Query, wanted: str | None) -> Row:
    if wanted is None:
        return {}
    names = [name.strip() for name in wanted.split(",")]
    for name in names:
        if name not in FACETS:
            raise Rejected(
                400,
                "invalid_parameter",
                f"facets: there is no facet {name[:50]!r}",
                allowed=", ".join(FACETS),
            )
    return {"facets": await library.facets(query, names)}


async def _listed(
    library: Library, shown: Shown, query: Query, selection: Selection, cursors: Cursors
) -> Row:
    items: Sequence[Row | msgspec.Raw]
    if query.words is None and selection is LISTED:
        page, items = await shown.page(query)
    else:
        page = await library.page(query)
        items = [_item(row, query, selection) for row in page.rows]
    listed = {"items": items, "next": _next(page, query.sort, cursors), "count": len(items)}
    return listed if page.ranked is None else listed | {"ranked": page.ranked}


def _item(row: Row, query: Query, selection: Selection) -> Row:
    view = image_view(row, selection)
    if query.words is None:
        return view
    return matched(view, row["score"], explained(row["words"], query.words))


def _meant(row: Row, selection: Selection, text: str) -> Row:
    why = Match(field="embedding", words=[text], score=row["score"])
    return matched(image_view(row, selection), row["score"], [why])


def _next(page: Page, sort: Sort, cursors: Cursors) -> str | None:
    return cursors.write(sort, page.next) if page.next else None


def _json(body: Row) -> Response[bytes]:
    return Response(
        encode(body), media_type=MediaType.JSON, headers={"cache-control": CACHE_CONTROL}
    )


def provide_meanings(state: State) -> Meanings:
    """Return what the lifespan opened."""
    meanings: Meanings = state.meanings
    return meanings


def provide_shown(state: State) -> Shown:
    """Return what the lifespan made."""
    shown: Shown = state.shown
    return shown
