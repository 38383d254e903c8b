"""HTTP of imports: read rows, edit, tell what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.message import Message
from typing import Any

import msgspec
from imagesystem.errors import Rejected
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from metadata_service.edits import Edit
from metadata_service.imports.lines import JsonLines
from metadata_service.imports.rows import ImportedEdit, Reader, Unread, refused
from metadata_service.imports.tables import CsvTable
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


#: How bodies are read, by media type (browsers call a CSV by the name of the program for it).
READERS: dict[str, Callable[[str], Reader]] = {
    "text/csv": CsvTable,
    "application/vnd.ms-excel": CsvTable,
    "text/tab-separated-values": CsvTable,
    "application/x-ndjson": JsonLines,
    "application/jsonl": JsonLines,
}
#: Encodings by their names in `charset=`; UTF-16 is told by its byte order mark.
CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "utf-16": "utf-16",
    "iso-8859-1": "iso-8859-1",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
}


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was not taken: the `line` it begins on, from 1, and the `column` at fault."""

    line: int
    code: str
    detail: str
    column: str | None = None
    id: str | None = None


class Imported(msgspec.Struct, kw_only=True):
    """What came of an import, in rows.

    `changed`: edited now (with `dry_run`: would be); `unchanged`: the picture is like that
    already; `refused`: of which `errors` tells the first hundred. `ignored`: columns (or names in
    JSON) that mean nothing here.
    """

    dry_run: bool
    rows: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    errors: list[Refused] = []
    ignored: list[str] = []


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
    reader = _reader(request.headers.get("content-type", ""))
    done = Imported(dry_run=given["dry_run"])
    waiting: list[tuple[int, ImportedEdit]] = []
    async for number, row in reader.rows(request.stream()):
        done.rows += 1
        if isinstance(row, Unread):
            _refuse(done, number, row)
            continue
        if len(waiting) == AT_ONCE or any(row.id == other.id for _, other in waiting):
            await _take(library, waiting, done)  # rows about one picture one after the other
            waiting = []
        waiting.append((number, row))
    await _take(library, waiting, done)
    done.ignored = list(reader.ignored)
    return done


def _reader(content_type: str) -> Reader:
    header = Message()
    header["content-type"] = content_type
    kind, named = header.get_content_type(), header.get_content_charset("utf-8")
    if kind not in READERS:
        raise Rejected(
            415,
            "unsupported_media_type",
            f"content-type {content_type[:50]!r} is not understood",
            allowed=", ".join(READERS),
        )
    charset = CHARSETS.get(named)
    if charset is None:
        raise Rejected(
            415,
            "unsupported_charset",
            f"charset {named[:50]!r} is not understood",
            allowed=", ".join(CHARSETS),
        )
    return READERS[kind](charset)


async def _take(library: Library, rows: list[tuple[int, ImportedEdit]], done: Imported) -> None:
    found = await asyncio.gather(
        *(_changed(library, row, dry_run=done.dry_run) for _, row in rows),
        return_exceptions=True,
    )
    for (number, row), outcome in zip(rows, found, strict=True):
        if isinstance(outcome, Rejected):
            _refuse(done, number, refused(outcome), row.id)
        elif isinstance(outcome, BaseException):
            raise outcome
        elif outcome:
            done.changed += 1
        else:
            done.unchanged += 1


async def _changed(library: Library, row: ImportedEdit, *, dry_run: bool) -> bool:
    edit = Edit(**{name: getattr(row, name) for name in Edit.__struct_fields__})
    return await library.annotate(row.id, edit, dry_run=dry_run)


def _refuse(done: Imported, line: int, why: Unread, image_id: str | None = None) -> None:
    done.refused += 1
    if len(done.errors) < TOLD:
        told = Refused(line=line, code=why.code, detail=why.detail, column=why.column, id=image_id)
        done.errors.append(told)


ROUTES = [import_edits]
