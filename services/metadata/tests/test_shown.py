"""Lists that are asked for again: what is kept of them, and that it is never out of date."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from imagesystem.events import Fact
from metadata_service.folding import fold
from metadata_service.memory import MemoryStore
from metadata_service.queries import NEWEST, SORTS, Page, Query, Row
from metadata_service.search.shown import OVERHEAD_BYTES, Shown
from metadata_service.views import LISTED, encode, image_view

from services.metadata.tests.samples import (
    annotated,
    deleted,
    embedded,
    image_id,
    inferred,
    planned,
    uploaded,
)


class Gallery(MemoryStore):
    """Pictures, and the ids of what was read whole so far."""

    def __init__(self) -> None:
        super().__init__()
        self.whole: list[str] = []
        self.between: list[Fact] = []
        self._sequence = 0

    async def say(self, *facts: Fact) -> None:
        for fact in facts:
            self._sequence += 1
            folded = fold(self.documents.get(fact.image_id), fact, self._sequence)
            assert folded is not None
            await self.write([folded])

    async def page(self, query: Query) -> Page:
        page = await super().page(query)
        if query.paths is None:
            self.whole += [row["_id"] for row in page.rows]
        else:
            await self.say(*self.between)  # after the ids were read, before the pictures are
        return page


@pytest.fixture
async def gallery() -> Gallery:
    gallery = Gallery()
    for number in range(1, 6):
        name = image_id(number)
        await gallery.say(uploaded(name, minutes=number), planned(name), inferred(name))
    return gallery


async def shown(shown: Shown, query: Query) -> list[Any]:
    _, items = await shown.page(query)
    return [msgspec.json.decode(item) for item in items]


async def plainly(gallery: Gallery, query: Query) -> list[Row]:
    """Return what a list says that keeps nothing."""
    page = await MemoryStore.page(gallery, query)
    return [msgspec.json.decode(encode(image_view(row, LISTED))) for row in page.rows]


QUERIES = [
    Query(),
    Query(limit=2),
    Query(sort=SORTS["oldest"], limit=3),
    Query(sort=SORTS["largest"]),
]


@pytest.mark.parametrize("most_bytes", [0, 4000, 1 << 20])
async def test_it_is_what_is_known_now(gallery: Gallery, most_bytes: int) -> None:
    view = Shown(gallery.page, most_bytes)
    await gallery.say(embedded(image_id(2)))
    for fact in (
        annotated(image_id(1), tags=["later"]),
        uploaded(image_id(9), minutes=9),
        deleted(image_id(4)),
    ):
        for query in QUERIES:
            for _ in range(2):
                assert await shown(view, query) == await plainly(gallery, query)
        await gallery.say(fact)
    for query in QUERIES:
        assert await shown(view, query) == await plainly(gallery, query)


async def test_pages_go_on_where_the_page_before_ended(gallery: Gallery) -> None:
    view, seen, after = Shown(gallery.page, 1 << 20), [], None
    while True:
        page, items = await view.page(Query(limit=2, after=after))
        seen += [msgspec.json.decode(item)["id"] for item in items]
        if (after := page.next) is None:
            break
    assert seen == [image_id(number) for number in (5, 4, 3, 2, 1)]


async def test_only_what_changed_is_read_again(gallery: Gallery) -> None:
    view = Shown(gallery.page, 1 << 20)
    await view.page(Query())
    assert sorted(gallery.whole) == [image_id(number) for number in range(1, 6)]
    gallery.whole.clear()
    await view.page(Query())
    assert gallery.whole == []
    await view.page(Query(sort=SORTS["oldest"], limit=2))
    assert gallery.whole == [image_id(1), image_id(2)]  # asked for the first time: in one step
    await view.page(Query(sort=SORTS["oldest"], limit=2))
    gallery.whole.clear()
    await gallery.say(annotated(image_id(3), tags=["new"]), uploaded(image_id(6), minutes=0))
    await view.page(Query())
    assert sorted(gallery.whole) == [image_id(3), image_id(6)]


async def test_what_is_kept_is_bounded(gallery: Gallery) -> None:
    _, items = await Shown(gallery.page, 1 << 20).page(Query())
    size = max(len(memoryview(item)) for item in items) + OVERHEAD_BYTES
    view = Shown(gallery.page, 2 * size)
    await view.page(Query())
    gallery.whole.clear()
    await view.page(Query())
    assert gallery.whole == [image_id(number) for number in (5, 4, 3)]  # the last two are kept


async def test_what_is_deleted_meanwhile_is_left_out(gallery: Gallery) -> None:
    view = Shown(gallery.page, 0)
    await view.page(Query(sort=NEWEST))
    gallery.between = [deleted(image_id(4)), annotated(image_id(3), tags=["just now"])]
    items = await shown(view, Query(sort=NEWEST))
    assert [item["id"] for item in items] == [image_id(number) for number in (5, 3, 2, 1)]
    assert items[1]["tags"] == ["just now"]
