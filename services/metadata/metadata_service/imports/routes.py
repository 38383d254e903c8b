"""HTTP of imports: read rows, edit, tell what came of it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from imagesystem.errors import Rejected
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from metadata_service.edits import Edit
from metadata_service.imports.rows import READERS, ImportedEdit, Unread, lines
from metadata_service.library import Library
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read

__all__ = ["ROUTES"]

AnyRequest = Request[Any, Any, Any]
#: Rows worked on at once; facts about them come back through the log.
AT_ONCE = 32
#: Rows that went wrong and are told one by one.
TOLD = 100
PARAMETERS: dict[str, Parameter] = {
    "dry_run": Parameter(
        name="dry_run",
        type=bool,
        default=False,
        description="say what would be done, and do nothing",
    )
}


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was not taken; `line` counts from 1."""

    line: int
    code: str
    detail: str
    id: str | None = None


class Imported(msgspec.Struct, kw_only=True):
    """What came of an import, in rows.

    `changed`: edited now (with `dry_run`: would be); `unchanged`: the picture is like that
    already; `refused`: of which `errors` tells the first hundred.
    """

    dry_run: bool
    rows: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    errors: list[Refused] = []


@post(
    "/metadata/import",
    status_code=200,
    request_max_body_size=None,
    operation_class=operation(PARAMETERS),
    responses={200: ResponseSpec(Imported, generate_examples=False, description="What came of it")},
    summary="Tags and captions of many pictures from a file",
    tags=["images"],
)
async def import_edits(
    request: AnyRequest, library: NamedDependency[SkipValidation[Library]]
) -> Imported:
    """Edit the pictures that the rows of the body name: JSON Lines or CSV, as exports write them.

    Rows that cannot be taken do no harm to the others; the same file again changes nothing.
    """
    given = read(request.query_params.multi_items(), PARAMETERS)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in READERS:
        raise Rejected(
            415,
            "unsupported_media_type",
            f"content-type {media_type[:50]!r} is not understood",
            allowed=", ".join(READERS),
        )
    rows, done = READERS[media_type](), Imported(dry_run=given["dry_run"])
    number = 0
    waiting: list[tuple[int, ImportedEdit]] = []
    async for line in lines(request.stream()):
        number += 1
        row = Unread(code="row_too_long", detail="") if line is None else rows.read(line)
        if row is None:
            continue
        done.rows += 1
        if isinstance(row, Unread):
            _refuse(done, Refused(line=number, code=row.code, detail=row.detail))
            continue
        if len(waiting) == AT_ONCE or any(row.id == other.id for _, other in waiting):
            await _take(library, waiting, done)  # rows about one picture one after the other
            waiting = []
        waiting.append((number, row))
    await _take(library, waiting, done)
    return done


async def _take(library: Library, rows: list[tuple[int, ImportedEdit]], done: Imported) -> None:
    found = await asyncio.gather(
        *(_changed(library, row, dry_run=done.dry_run) for _, row in rows),
        return_exceptions=True,
    )
    for (number, row), outcome in zip(rows, found, strict=True):
        if isinstance(outcome, Rejected):
            refused = Refused(line=number, code=outcome.code, detail=outcome.message, id=row.id)
            _refuse(done, refused)
        elif isinstance(outcome, BaseException):
            raise outcome
        elif outcome:
            done.changed += 1
        else:
            done.unchanged += 1


async def _changed(library: Library, row: ImportedEdit, *, dry_run: bool) -> bool:
    edit = Edit(**{name: getattr(row, name) for name in Edit.__struct_fields__})
    return await library.annotate(row.id, edit, dry_run=dry_run)


def _refuse(done: Imported, refused: Refused) -> None:
    done.refused += 1
    if len(done.errors) < TOLD:
        done.errors.append(refused)


ROUTES = [import_edits]
