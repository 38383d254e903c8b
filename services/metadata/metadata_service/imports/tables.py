"""CSV as spreadsheets and people write it, row by row as it comes.

RFC 4180, and what is met besides: a byte order mark, lines that end in CRLF or CR, line breaks in
quoted cells, other delimiters (told by the header, or by the line `sep=;` before it), spaces after
a delimiter, UTF-16.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from imagesystem.errors import Rejected

from metadata_service.exports.columns import COLUMNS
from metadata_service.imports.rows import (
    LONGEST,
    TOO_LONG,
    Ignored,
    ImportedEdit,
    Unread,
    edit_in,
)

__all__ = ["CsvTable", "parted"]

DELIMITERS = ",;\t|"
#: Spellings of yes and no, by spreadsheets and by people.
TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SEP = re.compile(r"sep=(.)$", re.IGNORECASE)
_PARTS = re.compile(r"(?:\\.|[^;\\])+", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_FOREIGN = re.compile("[\udc80-\udcff]")


def parted(text: str) -> list[str]:
    r"""Return the texts of a cell `a;b`, where `\;` is a semicolon: see `exports.formats`."""
    return [_ESCAPE.sub(r"\1", part).strip() for part in _PARTS.findall(text) if part.strip()]


def _truth(text: str) -> Any:
    return TRUTHS.get(text.strip().lower(), text)


#: How the cells of a column are read; an empty one leaves what is there.
CELLS: dict[str, Callable[[str], Any]] = {
    "tags": parted,
    "caption": str,
    "rating": str.strip,
    "favourite": _truth,
}


class CsvTable:
    """See `Reader`. Raises `Rejected` 400 `invalid_header` where the columns are not told."""

    def __init__(self, charset: str) -> None:
        self.ignored = Ignored(column.name for column in COLUMNS)
        self._charset = charset

    async def rows(
        self, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[tuple[int, ImportedEdit | Unread]]:
        """See `Reader.rows`."""
        cut = _Cut(self.ignored)
        async for text in _decoded(chunks, self._charset):
            for row in cut.take(text):
                yield row
        for row in cut.end():
            yield row


async def _decoded(chunks: AsyncIterator[bytes], charset: str) -> AsyncIterator[str]:
    """Yield the text, every line break as a line feed; what is no text, as surrogates."""
    decoder: Any = None
    async for chunk in chunks:
        if decoder is None and chunk:
            marked = chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            plain = codecs.getincrementaldecoder("utf-16" if marked else charset)
            inner = plain("replace" if marked else "surrogateescape")
            decoder = io.IncrementalNewlineDecoder(inner, translate=True)
        if decoder is not None:
            yield decoder.decode(chunk)
    if decoder is not None:
        yield decoder.decode(b"", final=True)


class _Cut:
    """Text cut into rows, and read by the header."""

    def __init__(self, ignored: Ignored) -> None:
        self._ignored = ignored
        self._held = ""  # the beginning of a line
        self._row = ""  # the lines of a row whose quote is not closed yet
        self._line, self._began = 0, 1
        self._skipping = False
        self._delimiters = DELIMITERS
        self._delimiter = ""  # until the header has told
        self._opening = re.compile("")
        self._names: list[str] = []

    def take(self, text: str) -> Iterator[tuple[int, ImportedEdit | Unread]]:
        """Yield the rows that are whole now."""
        *whole, self._held = (self._held + text).split("\n")
        for line in whole:
            self._line += 1
            if self._skipping or len(line) > LONGEST:
                yield from self._too_long()
                self._skipping = False
            else:
                yield from self._add(line)
        if len(self._held) > LONGEST:
            self._held, self._skipping = "", True

    def end(self) -> Iterator[tuple[int, ImportedEdit | Unread]]:
        """Yield what is left at the end of the file."""
        if self._held or self._skipping:
            yield from self.take("\n")
        if self._row:
            yield (
                self._began,
                Unread(code="invalid_row", detail="a quote is opened here and never closed"),
            )
        if not self._names:
            raise _no_header("the file has no header")

    def _too_long(self) -> Iterator[tuple[int, Unread]]:
        if self._row:
            detail = f"{TOO_LONG.detail}; is a quote opened here and not closed?"
            yield self._began, Unread(code=TOO_LONG.code, detail=detail)
        else:
            yield self._line, TOO_LONG
        self._row = ""

    def _add(self, line: str) -> Iterator[tuple[int, ImportedEdit | Unread]]:
        if not self._delimiter:
            self._begin(line)
            return
        inside = bool(self._row)
        if not inside:
            self._began = self._line
        row = f"{self._row}\n{line}" if inside else line
        if len(row) > LONGEST:
            yield from self._too_long()
        elif self._open_at_end(line, inside=inside):
            self._row = row
        else:
            self._row = ""
            read = self._read(row)
            if read is not None:
                yield self._began, read

    def _begin(self, line: str) -> None:
        """Learn from the first lines what the columns are, and what is between them."""
        line = line.removeprefix("\ufeff")
        if said := _SEP.match(line):
            self._delimiters = said[1]
            return
        if not line.strip():
            return
        for delimiter in self._delimiters:
            try:
                names = [name.strip().lower() for name in _cells(line, delimiter)]
            except csv.Error:
                continue  # quotes that make no sense, with this between the cells
            if "id" in names:
                self._delimiter, self._names = delimiter, names
                self._opening = re.compile(rf"(?:^|{re.escape(delimiter)}) *\"")
                break
        else:
            raise _no_header("the first line names the columns, and none of them is id")
        twice = next((name for name in names if name and names.count(name) > 1), None)
        if twice is not None:
            raise _no_header(f"column {twice[:50]!r} is there twice")
        if not CELLS.keys() & set(names):
            raise _no_header(f"none of these columns can be changed: {', '.join(names)[:200]}")
        self._ignored.meet(names)

    def _open_at_end(self, line: str, *, inside: bool) -> bool:
        """Say whether a line ends within quotes, which open at the beginning of cells alone."""
        place = 0
        while True:
            if inside:
                quote = line.find('"', place)
                if quote < 0:
                    return True
                inside = line.startswith('""', quote)
                place = quote + (2 if inside else 1)
            else:
                opened = self._opening.search(line, place)
                if opened is None:
                    return False
                inside, place = True, opened.end()

    def _read(self, row: str) -> ImportedEdit | Unread | None:
        try:
            cells = _cells(row, self._delimiter)
        except csv.Error as error:
            return Unread(code="invalid_row", detail=str(error))
        if not any(cell.strip() for cell in cells):
            return None
        if len(cells) != len(self._names):
            said = f"{len(cells)} cells where the header has {len(self._names)}"
            return Unread(code="invalid_row", detail=said)
        given = dict(zip(self._names, cells, strict=True))
        taken = {name: given[name] for name in ("id", *CELLS) if name in given}
        for name, cell in taken.items():
            if _FOREIGN.search(cell):
                said = 'not UTF-8: save it as "CSV UTF-8", or say what it is: text/csv; charset=…'
                return Unread(code="invalid_row", detail=said, column=name)
        edit = {name: read(taken[name]) for name, read in CELLS.items() if taken.get(name, "")}
        return edit_in({"id": taken["id"].strip(), **edit})


def _cells(row: str, delimiter: str) -> list[str]:
    lines = io.StringIO(row, newline="\n")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    return next(reader, [])


def _no_header(detail: str) -> Rejected:
    return Rejected(400, "invalid_header", detail, allowed="id, " + ", ".join(CELLS))
