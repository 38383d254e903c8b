"""Facts into an edition, as fast as the database takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from imagesystem import logs
from imagesystem.bus import Received
from imagesystem.events import Fact, Uploaded

from metadata_service.documents import Document
from metadata_service.folding import fold_all
from metadata_service.read_model import fold_into
from metadata_service.store import Edition, Unstorable

__all__ = ["Loader"]

log = logs.get(__name__)

#: Images folded before others get their turn.
TURN = 32


class Loader:
    """Folds stretches of the log into an edition; one stretch is written while the next folds.

    An image whose upload is in the stretch is taken for new and inserted unseen; only those that
    turn out to be there already are read. `left_out`: facts that cannot be stored.
    """

    def __init__(self, edition: Edition) -> None:
        self._edition = edition
        self._writing: asyncio.Task[None] | None = None
        self.left_out = 0

    async def take(self, facts: Sequence[Received[Fact]]) -> None:
        """Fold facts in; returns when those of the call before are written."""
        new, known = _by_image(facts)
        documents = []
        for number, about in enumerate(new):
            if number % TURN == 0:
                await asyncio.sleep(0)
            document = fold_all(None, about)
            if document is not None:
                documents.append(document)
        await self.settle()
        self._writing = asyncio.create_task(self._write(documents, new, known))

    async def settle(self) -> None:
        """Return when everything taken is written; raises what went wrong with it."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def cancel(self) -> None:
        """Stop writing."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write(
        self,
        documents: Sequence[Document],
        new: Sequence[Sequence[Received[Fact]]],
        known: Sequence[Received[Fact]],
    ) -> None:
        again = list(known)
        try:
            there = await self._edition.insert(documents) if documents else set()
        except Unstorable:  # one of them: fold_each finds out which
            there = {document.image_id for document in documents}
        again += (each for about in new for each in about if each.event.image_id in there)
        if again:
            await self._fold_each(again)

    async def _fold_each(self, facts: Sequence[Received[Fact]]) -> None:
        try:
            await fold_into(self._edition, facts)
        except Unstorable as error:
            if len(facts) == 1:
                # The consumer that heard it has made a dead letter of it.
                log.warning("fact_left_out", subject=facts[0].subject, error=error.message)
                self.left_out += 1
                return
            for part in _parts(facts):
                await self._fold_each(part)


def _by_image(
    facts: Iterable[Received[Fact]],
) -> tuple[list[list[Received[Fact]]], list[Received[Fact]]]:
    """Part the facts: by image where the upload is among them, and the others."""
    by_image: dict[str, list[Received[Fact]]] = {}
    uploaded: set[str] = set()
    for received in facts:
        by_image.setdefault(received.event.image_id, []).append(received)
        if isinstance(received.event, Uploaded):
            uploaded.add(received.event.image_id)
    new = [about for name, about in by_image.items() if name in uploaded]
    known = [each for name, about in by_image.items() if name not in uploaded for each in about]
    return new, known


def _parts(facts: Sequence[Received[Fact]]) -> list[Sequence[Received[Fact]]]:
    middle = len(facts) // 2
    return [facts[:middle], facts[middle:]]
