"""HTTP of migrations: parse, call, stream how far it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from imagesystem.errors import ImageSystemError
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation
from litestar.response import Stream

from metadata_service.documents import SHAPE
from metadata_service.migrations import MIGRATIONS, Migrated, migrate
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.store import Store

__all__ = ["ROUTES"]

AnyRequest = Request[Any, Any, Any]
PARAMETERS: dict[str, Parameter] = {
    "dry_run": Parameter(name="dry_run", type=bool, default=False, description="count only")
}
_encode = msgspec.json.Encoder().encode


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What changed with a shape of the documents."""

    shape: int
    title: str


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of the documents that this version writes, and the steps that lead to it."""

    shape: int
    steps: list[Step]


@get(
    "/metadata/migrations",
    responses={200: ResponseSpec(Shape, generate_examples=False, description="The steps")},
    summary="The shapes that documents have had",
    tags=["migrations"],
)
async def show_migrations(request: AnyRequest) -> Shape:
    """Return what `POST /metadata/migrations` would do to documents of older shapes."""
    read(request.query_params.multi_items(), {})
    return Shape(
        shape=SHAPE, steps=[Step(shape=each.shape, title=each.title) for each in MIGRATIONS]
    )


@post(
    "/metadata/migrations",
    status_code=200,
    operation_class=operation(PARAMETERS),
    responses={
        200: ResponseSpec(
            Migrated,
            generate_examples=False,
            media_type="application/x-ndjson",
            description="A line of counts every so often; the last has `ended`, or `error`",
        )
    },
    summary="Bring documents of older shapes up to date",
    tags=["migrations"],
)
async def begin_migration(
    request: AnyRequest, store: NamedDependency[SkipValidation[Store]]
) -> Stream:
    """Write every document anew that a version before this one wrote.

    It serves meanwhile, and can be run again when it was broken off.
    """
    given = read(request.query_params.multi_items(), PARAMETERS)
    return Stream(
        _lines(store, dry_run=given["dry_run"]),
        media_type="application/x-ndjson",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _lines(store: Store, *, dry_run: bool) -> AsyncGenerator[bytes, None]:
    try:
        async for counts in migrate(store, dry_run=dry_run):
            yield _encode(counts) + b"\n"
    except ImageSystemError as error:  # the status is sent already
        yield _encode({"code": error.code, "error": error.message}) + b"\n"


ROUTES = [show_migrations, begin_migration]
