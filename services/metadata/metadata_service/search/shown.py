"""What lists say of pictures, made once: as JSON, for as long as a picture stays as it is.

The first pages of a list are asked for again and again. To read a picture from the database and to
write it down is most of what a page costs, so that a page that was asked for before is read in two
steps: which pictures are on it and in which version, then those of them that nobody has been shown
lately.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from metadata_service.queries import Page, Query, Row, among
from metadata_service.views import LISTED, encode, image_view

__all__ = ["Shown"]

#: What tells one state of a document from all others (a rebuilt one counts on from elsewhere).
STAMP = ("version", "updated_at")
#: Of a view, besides its text.
OVERHEAD_BYTES = 300
#: Pages that are remembered as having been asked for.
ASKED = 1024


class _View(msgspec.Struct, frozen=True, gc=False):
    version: int
    updated_at: datetime | None
    text: msgspec.Raw


class Shown:
    """Views of pictures; `most_bytes` of them are kept, those that were asked for last.

    `read` returns a page of documents.
    """

    def __init__(self, read: Callable[[Query], Awaitable[Page]], most_bytes: int) -> None:
        self._read = read
        self._most_bytes = most_bytes
        self._bytes = 0
        self._views: OrderedDict[str, _View] = OrderedDict()
        self._asked: OrderedDict[str, None] = OrderedDict()

    async def page(self, query: Query) -> tuple[Page, list[msgspec.Raw]]:
        """Return a page of a query without words, and what a list says of each picture on it.

        The rows of the page may have no more than their ids and versions. A picture that was
        deleted while it was read is left out.
        """
        if not self._asked_before(query):
            page = await self._read(query)
            return page, [self._held(row) or self._made(row) for row in page.rows]
        page = await self._read(msgspec.structs.replace(query, paths=STAMP))
        found = {row["_id"]: self._held(row) for row in page.rows}
        missing = [image_id for image_id, text in found.items() if text is None]
        if missing:
            whole = await self._read(among(Query(), missing, None))
            found |= {row["_id"]: self._made(row) for row in whole.rows}
        return page, [text for text in found.values() if text is not None]

    def _asked_before(self, query: Query) -> bool:
        page = repr(query)
        before = page in self._asked
        self._asked[page] = None
        self._asked.move_to_end(page)
        if len(self._asked) > ASKED:
            self._asked.popitem(last=False)
        return before

    def _held(self, row: Row) -> msgspec.Raw | None:
        """Return the view of this very state of a picture, if it is kept."""
        view = self._views.get(row["_id"])
        if view is None or (view.version, view.updated_at) != (row["version"], row["updated_at"]):
            return None
        self._views.move_to_end(row["_id"])
        return view.text

    def _made(self, row: Row) -> msgspec.Raw:
        text = msgspec.Raw(encode(image_view(row, LISTED)))
        self._drop(row["_id"])
        self._views[row["_id"]] = _View(row["version"], row["updated_at"], text)
        self._bytes += _size(text)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._views)))
        return text

    def _drop(self, image_id: str) -> None:
        view = self._views.pop(image_id, None)
        if view is not None:
            self._bytes -= _size(view.text)


def _size(text: msgspec.Raw) -> int:
    return len(memoryview(text)) + OVERHEAD_BYTES
