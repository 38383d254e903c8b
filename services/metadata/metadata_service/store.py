"""The port to wherever documents are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from imagesystem.errors import Permanent, Transient

from metadata_service.documents import Document
from metadata_service.queries import Page, Query, Row
from metadata_service.search.facets import Counts, Facet
from metadata_service.settings import Settings
from metadata_service.stats import Survey

if TYPE_CHECKING:
    from metadata_service.rebuilds.records import Editions

__all__ = ["TOO_SLOW", "Conflict", "Edition", "OpenStore", "Store", "Unstorable"]

#: The code of a question that would take too long to answer.
TOO_SLOW = "query_too_slow"


class Conflict(Transient):
    """Somebody else wrote one of the documents since it was read."""

    code = "write_conflict"


class Unstorable(Permanent):
    """The database can never hold this document (too large, or a value it has no type for)."""

    code = "unstorable"


class Edition(Protocol):
    """Documents by image id. Every call raises `Unavailable("mongodb")` when it is down."""

    async def prepare(self) -> None:
        """Bring the indexes to what `metadata_service.indexes` declares; idempotent."""
        ...

    async def get(self, image_id: str) -> Document | None:
        """Return the document of one image, if there is one."""
        ...

    async def read(self, image_ids: Iterable[str]) -> dict[str, Document]:
        """Return those of the documents that exist, by image id."""
        ...

    async def write(self, documents: Sequence[Document]) -> None:
        """Write documents over what was read; when it returns, they survive a crash.

        Each document's `version` is that of the document it replaces (0: there was none), and
        is stored one higher. Raises `Conflict` if another writer was faster on any of them (the
        others may be written), `Unstorable` if one can never be written.
        """
        ...

    async def insert(self, documents: Sequence[Document]) -> set[str]:
        """Write documents that are new; returns the ids of those that were there already.

        Faster than `write`, and durable only with the next thing that is durable.
        """
        ...

    async def scan(
        self, after: str, limit: int, paths: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Return the next documents in the order of ids, as plain data, or the parts at `paths`."""
        ...

    async def stored(self, image_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return those of the documents that exist, by image id, as plain data."""
        ...


class Store(Edition, Protocol):
    """The documents that are served."""

    @property
    def editions(self) -> Editions:
        """What rebuilds need besides."""

    async def ping(self) -> None:
        """Return if the database answers."""
        ...

    async def show(self, image_id: str, paths: Sequence[str] | None = None) -> Row | None:
        """Return one document as plain data, or the parts of it at `paths`.

        Without `paths` it is all but the vector of its embedding.
        """
        ...

    async def page(self, query: Query) -> Page:
        """Return one page of the pictures that exist (neither deleted nor half known).

        Raises `Rejected` 422 `TOO_SLOW`, as `count` and `facets` do.
        """
        ...

    async def count(self, query: Query, most: int) -> int:
        """Return how many pictures a query finds on all pages; counts up to `most`."""
        ...

    async def survey(self) -> Survey:
        """Return counts over all pictures; a walk over all documents, minutes at most."""
        ...

    async def facets(self, query: Query, facets: Sequence[Facet], most: int) -> Counts:
        """Return how often the values of fields occur among up to `most` pictures found."""
        ...


#: Opens a store in the running loop (its client is bound to it) and closes it.
OpenStore: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[Store]]
