"""The rows of imports: what one says, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Protocol

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id

from metadata_service.edits import Edit

__all__ = [
    "LONGEST",
    "TOO_LONG",
    "Ignored",
    "ImportedEdit",
    "Reader",
    "Unread",
    "edit_in",
    "refused",
]

#: Bytes or characters of one row.
LONGEST = 64 * 1024
#: Names told that mean nothing, and characters of each.
NAMES, NAME = 20, 50
_AT = re.compile(r" - at `\$\.?([a-z]+)[^`]*`$")
#: Of which column a limit, or an error's code, speaks.
_COLUMNS = {
    "MAX_TAGS": "tags",
    "MAX_TAG_CHARACTERS": "tags",
    "invalid_tag": "tags",
    "MAX_CAPTION_CHARACTERS": "caption",
    "invalid_caption": "caption",
    "malformed_image_id": "id",
    "unknown_image": "id",
    "image_deleted": "id",
}


class ImportedEdit(Edit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row: which picture, and what to change of it; what is left out stays as it is."""

    id: str


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A row of which nothing can be done, and why."""

    code: str
    detail: str
    column: str | None = None


class Reader(Protocol):
    """Reads a file as it comes. `ignored`: names that mean nothing here, as typing errors do."""

    ignored: Ignored

    def rows(
        self, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[tuple[int, ImportedEdit | Unread]]:
        """Yield what each row says, with the number of the line that it begins on (from 1)."""
        ...


class Ignored(dict[str, None]):
    """Names that were met and that neither imports nor exports know, the first so many."""

    def __init__(self, known: Iterable[str]) -> None:
        super().__init__()
        self._known = {"id", *ImportedEdit.__struct_fields__, *known}

    def meet(self, names: Iterable[str]) -> None:
        """Remember those of the names that are not known."""
        for name in names:
            if name and name not in self._known and len(self) < NAMES:
                self[name[:NAME]] = None


TOO_LONG = Unread(code="row_too_long", detail=f"a row has at most {LONGEST} bytes")


def edit_in(row: Mapping[str, Any]) -> ImportedEdit | Unread:
    """Return what a row says; columns that are no part of an edit are passed over."""
    given = {name: row[name] for name in ImportedEdit.__struct_fields__ if name in row}
    try:
        edit = msgspec.convert(given, ImportedEdit, strict=False)
        return msgspec.structs.replace(edit, id=parse_image_id(edit.id))
    except msgspec.ValidationError as error:
        found = _AT.search(str(error))
        column = found[1] if found else None
        return Unread(code="invalid_row", detail=_AT.sub("", str(error)), column=column)
    except Rejected as error:
        return refused(error)


def refused(error: Rejected) -> Unread:
    """Return why an edit was refused, and because of which column."""
    column = _COLUMNS.get(error.limit or error.code)
    return Unread(code=error.code, detail=error.message, column=column)
