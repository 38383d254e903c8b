"""Search by meaning: the pictures whose vectors are nearest to that of a text, which meet a query.

Where a query leaves few pictures, all of them are compared. Where it leaves many, the nearest are
looked through until a page of them meets it.
"""

from __future__ import annotations

import msgspec

from metadata_service.library import Library
from metadata_service.queries import NEWEST, Page, Position, Query, among
from metadata_service.similarity.embedder import Embedder
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.vectors import Space, Vector

__all__ = ["Compared", "Meanings"]

#: Pictures of a query that are all compared, if there are no more.
FEW = 2000
#: The nearest that are looked through first, how many times more each time, and at most.
FIRST, MORE, DEEPEST = 512, 4, 20_000

#: A picture's rank: the cosine, the nearest first, then its id.
_Rank = tuple[float, str]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What a text was compared with: `pictures` that have a vector of this model and version."""

    model: str
    model_version: str
    pictures: int


class _Sought(msgspec.Struct, frozen=True, kw_only=True):
    """A text as a vector in a space, the least cosine, and what pictures must meet besides."""

    space: Space
    vector: Vector
    least: float
    query: Query


class Meanings:
    """What texts mean, and which pictures show it."""

    def __init__(self, embedder: Embedder, gallery: Gallery, library: Library) -> None:
        self._embedder = embedder
        self._gallery = gallery
        self._library = library

    async def page(self, text: str, query: Query, least: float) -> tuple[Page, Compared]:
        """Return the page of a query by how near pictures are to a text, at least so near.

        Rows have the cosine as their `score`. Raises as `Embedder.text` does, and `Rejected` 409
        `no_vectors` (see `Gallery.require`).
        """
        space, vector = await self._embedder.text(text)
        sought = _Sought(space=space, vector=vector, least=least, query=query)
        compared = Compared(
            model=space.model, model_version=space.model_version, pictures=self._gallery.size(space)
        )
        if not self._gallery.require(space):
            return Page(rows=[]), compared
        ranks = await self._few(sought)
        if ranks is None:
            ranks = await self._nearest(sought)
        return await self._shown(sorted(ranks, key=_order), query), compared

    async def _few(self, sought: _Sought) -> list[_Rank] | None:
        """Return the ranks of all that the query leaves, None if it leaves many."""
        query = sought.query
        if not query.conditions and query.words is None:
            return None
        whole = msgspec.structs.replace(query, sort=NEWEST, after=None, limit=FEW, paths=("_id",))
        page = await self._library.page(whole)
        if page.next is not None:
            return None
        return await self._ranked([row["_id"] for row in page.rows], sought)

    async def _nearest(self, sought: _Sought) -> list[_Rank]:
        """Return enough ranks for a page, the nearest of those that meet the query."""
        ranks: list[_Rank] = []
        known: set[str] = set()
        limit = sought.query.limit
        count = max(FIRST, MORE * limit)
        while True:
            found = await self._gallery.nearest(sought.space, sought.vector, count)
            new = [each.image_id for each in found if each.image_id not in known]
            known.update(new)
            ranks += await self._meeting(await self._ranked(new, sought), sought.query)
            exhausted = len(found) < count or found[-1].cosine < sought.least
            if len(ranks) > limit or exhausted or count >= DEEPEST:
                return ranks
            count = min(count * MORE, DEEPEST)

    async def _ranked(self, image_ids: list[str], sought: _Sought) -> list[_Rank]:
        """Return the ranks of those that have a vector, are near enough and after the page."""
        cosines = await self._gallery.cosines(sought.space, sought.vector, image_ids)
        ranks = [(cosine, name) for name, cosine in cosines.items() if cosine >= sought.least]
        after = sought.query.after
        if after is None:
            return ranks
        last = _order((float(after.key), after.image_id))  # type: ignore[arg-type]
        return [rank for rank in ranks if _order(rank) > last]

    async def _meeting(self, ranks: list[_Rank], query: Query) -> list[_Rank]:
        """Return those that meet the query."""
        if not ranks:
            return []
        names = [image_id for _, image_id in ranks]
        page = await self._library.page(among(query, names, ("_id",)))
        there = {row["_id"] for row in page.rows}
        return [rank for rank in ranks if rank[1] in there]

    async def _shown(self, ranks: list[_Rank], query: Query) -> Page:
        """Return the page that begins these ranks."""
        page = ranks[: query.limit]
        if not page:
            return Page(rows=[])
        names = [image_id for _, image_id in page]
        found = await self._library.page(among(Query(), names, query.paths))
        there = {row["_id"]: row for row in found.rows}
        rows = [there[name] | {"score": cosine} for cosine, name in page if name in there]
        if len(ranks) <= query.limit:
            return Page(rows=rows)
        cosine, image_id = page[-1]
        return Page(rows=rows, next=Position(key=cosine, image_id=image_id))


def _order(rank: _Rank) -> tuple[float, str]:
    cosine, image_id = rank
    return -cosine, image_id
