"""Words that very many pictures have, in MongoDB.

A text index scores every document that has one of the words before it returns the first: seconds
of a processor for a word in each of 200 000 pictures. Which words are that common is found out by
counting up to a bound. Only what is seldom is then looked up in that index; the rest is looked for
in the folded texts themselves, newest pictures first, and so many are ranked here, by the same
scores. (What is common is found at once that way, and what is seldom is not looked for so.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from imagesystem.errors import Rejected

from metadata_service.memory_queries import value
from metadata_service.mongo_edition import aggregated, fetched
from metadata_service.mongo_queries import criteria, order, projection
from metadata_service.queries import NEWEST, RELEVANCE, Page, Position, Query, Row
from metadata_service.remembering import Remembered
from metadata_service.search.words import WORTH, Wanted, scored

__all__ = ["CommonWords"]

#: A word that takes longer to count is common; how common is remembered for a minute.
COUNTING_MS, REMEMBERED_S = 1000, 60.0
#: Documents scored before others get their turn.
TURN = 256
#: Pictures among which facets are counted.
COUNTED = 20_000


class CommonWords:
    """Queries with words of which more than `most` pictures have one."""

    def __init__(self, documents: Any, most: int, most_ms: int) -> None:
        self._documents = documents
        self._most = most
        self._most_ms = most_ms
        self._seldom: Remembered[bool] = Remembered(REMEMBERED_S)

    async def seldom(self, words: Wanted) -> tuple[str, ...] | None:
        """Return those phrases that few pictures have; None if all are such."""
        few = await asyncio.gather(
            *(self._seldom.get(each, partial(self._few, each)) for each in words.phrases)
        )
        if all(few):
            return None
        return tuple(each for each, is_seldom in zip(words.phrases, few, strict=True) if is_seldom)

    async def _few(self, phrase: str) -> bool:
        stages = [
            {"$match": {"$text": {"$search": f'"{phrase}"'}}},
            {"$limit": self._most + 1},
            {"$count": "found"},
        ]
        try:
            found = await aggregated(self._documents, stages, COUNTING_MS)
        except Rejected:  # it took too long
            return False
        return not found or int(found[0]["found"]) <= self._most

    async def page(self, query: Query, seldom: Sequence[str]) -> Page:
        """See `Store.page`."""
        if query.sort is RELEVANCE:
            return await self._best(query, seldom)
        limit = query.limit + 1
        rows = await self._found(query, seldom, projection(query), limit)
        shown = rows[: query.limit]
        following = None
        if len(rows) == limit:
            last = shown[-1]
            following = Position(key=value(last, query.sort.field), image_id=last["_id"])
        for row in shown:
            row["score"] = _score(row, query)
        kept = [row for row in shown if row["score"] >= query.least_score]
        return Page(rows=kept, next=following)

    async def _best(self, query: Query, seldom: Sequence[str]) -> Page:
        ranked, whole = await self._ranked(query, seldom)
        if query.after is not None:
            after = (query.after.key, query.after.image_id)
            ranked = [each for each in ranked if each < after]
        chosen = {image_id: score for score, image_id in ranked[: query.limit]}
        wanted, read = {"_id": {"$in": list(chosen)}}, dict(projection(query))
        read.pop("score", None)
        found = await fetched(lambda: self._documents.find(wanted, read))
        rows = {row["_id"]: row | {"score": chosen[row["_id"]]} for row in found}
        following = None
        if len(ranked) > query.limit:
            score, image_id = ranked[query.limit - 1]
            following = Position(key=score, image_id=image_id)
        return Page(
            rows=[rows[image_id] for image_id in chosen if image_id in rows],
            next=following,
            ranked=None if whole else self._most,
        )

    async def _ranked(
        self, query: Query, seldom: Sequence[str]
    ) -> tuple[list[tuple[float, str]], bool]:
        """Return score and id of the newest pictures, best first, and whether that is all."""
        newest = msgspec.structs.replace(query, sort=NEWEST, after=None)
        rows = await self._found(newest, seldom, {"words": True}, self._most + 1)
        scores = []
        for number, row in enumerate(rows[: self._most]):
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)
            scores.append((_score(row, query), row["_id"]))
        ranked = sorted((each for each in scores if each[0] >= query.least_score), reverse=True)
        return ranked, len(rows) <= self._most

    async def count(self, query: Query, seldom: Sequence[str], most: int) -> int:
        """See `Store.count`; where not all are ranked, `most` says that there are more."""
        if query.least_score > WORTH:
            ranked, whole = await self._ranked(query, seldom)
            return min(len(ranked), most) if whole else most
        stages = [{"$match": criteria(query, seldom)}, {"$limit": most}, {"$count": "found"}]
        found = await aggregated(self._documents, stages, self._most_ms)
        return int(found[0]["found"]) if found else 0

    async def matching(self, query: Query, seldom: Sequence[str]) -> list[Row]:
        """Return the stages that find pictures whose values are counted, not too many."""
        if query.least_score > WORTH:
            ranked, _ = await self._ranked(query, seldom)
            return [{"$match": {"_id": {"$in": [image_id for _, image_id in ranked]}}}]
        return [{"$match": criteria(query, seldom)}, {"$limit": COUNTED}]

    async def _found(
        self, query: Query, seldom: Sequence[str], read: dict[str, bool], limit: int
    ) -> list[Row]:
        asked = criteria(query, seldom)
        read = {path: shown for path, shown in read.items() if path != "score"}
        return await fetched(
            lambda: (
                self._documents.find(asked, read, max_time_ms=self._most_ms)
                .sort(order(query))
                .limit(limit)
            )
        )


def _score(row: Row, query: Query) -> float:
    return scored(row["words"], query.words) or 0.0 if query.words else 0.0
