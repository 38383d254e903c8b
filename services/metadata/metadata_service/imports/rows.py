"""The rows of imports: lines of bytes in, edits out."""

from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id

from metadata_service.edits import Edit

__all__ = ["READERS", "ImportedEdit", "Unread", "lines", "parted"]

#: Bytes of one line.
LONGEST = 64 * 1024
_PARTS = re.compile(r"(?:\\.|[^;\\])+", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class ImportedEdit(Edit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row: which picture, and what to change of it; what is left out stays as it is."""

    id: str


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A row that says nothing that could be done."""

    code: str
    detail: str


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """Yield the lines of a body as they come; None for one that is too long."""
    held, skipping = b"", False
    async for chunk in chunks:
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            yield None if skipping or len(line) > LONGEST else line
            skipping = False
        if len(held) > LONGEST:
            held, skipping = b"", True
    if held or skipping:
        yield None if skipping else held


def parted(text: str) -> list[str]:
    r"""Return the texts of a cell `a;b`, where `\;` is a semicolon: see `exports.formats`."""
    return [_ESCAPE.sub(r"\1", part).strip() for part in _PARTS.findall(text) if part.strip()]


class JsonRows:
    """JSON Lines: `{"id": …, "tags": […], "caption": …}` on each."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(dict[str, Any]).decode

    def read(self, line: bytes) -> ImportedEdit | Unread | None:
        """Return what a line says; None if it is empty."""
        if not line.strip():
            return None
        try:
            row = self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return Unread(code="invalid_row", detail=str(error))
        return _edit({name: row[name] for name in ImportedEdit.__struct_fields__ if name in row})


class CsvRows:
    """CSV with a header: `id`, and any of `tags`, `caption`, `rating`, `favourite`.

    An empty cell leaves what is there; other columns (of an export) are passed over. A row is a
    line: a line break within a cell is not understood.
    """

    def __init__(self) -> None:
        self._names: list[str] | None = None

    def read(self, line: bytes) -> ImportedEdit | Unread | None:
        """Return what a line says; None if it is empty or the header."""
        try:
            cells = next(csv.reader([line.decode("utf-8-sig").rstrip("\r")], strict=True), [])
        except (csv.Error, UnicodeDecodeError) as error:
            return Unread(code="invalid_row", detail=str(error))
        if not any(cell.strip() for cell in cells):
            return None
        if self._names is None:
            self._names = [cell.strip() for cell in cells]
            if "id" not in self._names:
                raise Rejected(
                    400,
                    "invalid_header",
                    "the first line names the columns, and one of them is id",
                    allowed="id, " + ", ".join(_CELLS),
                )
            return None
        if len(cells) != len(self._names):
            said = f"{len(cells)} cells where the header has {len(self._names)}"
            return Unread(code="invalid_row", detail=said)
        row = dict(zip(self._names, cells, strict=True))
        given = {name: read(row[name]) for name, read in _CELLS.items() if row.get(name, "")}
        return _edit({"id": row["id"].strip(), **given})


_CELLS: dict[str, Callable[[str], Any]] = {
    "tags": parted,
    "caption": str,
    "rating": str,
    "favourite": str,
}


def _edit(row: dict[str, Any]) -> ImportedEdit | Unread:
    try:
        edit = msgspec.convert(row, ImportedEdit, strict=False)
        return msgspec.structs.replace(edit, id=parse_image_id(edit.id))
    except msgspec.ValidationError as error:
        return Unread(code="invalid_row", detail=str(error))
    except Rejected as error:
        return Unread(code=error.code, detail=error.message)


#: The readers by media type.
READERS: dict[str, Callable[[], JsonRows | CsvRows]] = {
    "application/x-ndjson": JsonRows,
    "application/jsonl": JsonRows,
    "text/csv": CsvRows,
}
