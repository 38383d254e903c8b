"""Dead letters for people at a terminal: the same as metadata serves, without metadata."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.dead_letters import (
    Letters,
    Page,
    Requested,
    Summary,
    Wanted,
    request_replay,
    request_replays,
)
from imagesystem.dead_letters.jetstream import JetStreamLetters
from imagesystem.dead_letters.views import LetterView
from imagesystem.errors import Rejected
from imagesystem.events import DeadLetter
from imagesystem.metrics import Metrics
from imagesystem.permissions import OPERATOR
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from local_stack import moments, queues
from local_stack.errors import StackError

__all__ = ["Desk", "opened", "render_letter", "render_list"]


class Desk:
    """What the operator can do about letters; raises `StackError` where there is none."""

    def __init__(self, bus: JetStreamBus, letters: Letters) -> None:
        self._bus = bus
        self._letters = letters

    async def list(self, wanted: Wanted, limit: int) -> Page:
        """Return the newest letters that are wanted."""
        found: list[Summary] = []
        before: int | None = None
        while len(found) < limit:
            page = await self._letters.page(wanted, before=before, limit=limit - len(found))
            found += page.letters
            before = page.next
            if before is None:
                break
        return Page(letters=found, next=before)

    async def show(self, letter_id: str) -> DeadLetter:
        """Return a letter with all that it holds."""
        letter = await self._letters.get(letter_id)
        if letter is None:
            raise StackError(f"there is no dead letter {letter_id!r}")
        return letter

    async def replay(self, letter_id: str) -> str:
        """Ask for a replay, and return what became of that, for people."""
        letter = await self.show(letter_id)
        try:
            asked = await request_replay(self._bus, letter.consumer, letter_id)
        except Rejected as error:
            raise StackError(error.message) from error
        waits = "will try again" if asked else "was asked before, and has not ended trying"
        return f"{letter_id}: {letter.consumer} {waits}"

    async def replay_all(self, wanted: Wanted) -> Requested:
        """Ask for replays of all that is wanted, in steps."""
        total = Requested(requested=0, waiting=0, unknown=0)
        before: int | None = None
        while True:
            step = await request_replays(self._bus, self._letters, wanted, before=before)
            before = step.next
            total = Requested(
                requested=total.requested + step.requested,
                waiting=total.waiting + step.waiting,
                unknown=total.unknown + step.unknown,
            )
            if before is None:
                return total

    async def discard(self, letter_id: str) -> None:
        """Delete a letter for ever."""
        if not await self._letters.discard(letter_id):
            raise StackError(f"there is no dead letter {letter_id!r}")

    async def discard_all(self, wanted: Wanted, *, sure: bool) -> int:
        """Delete all that is wanted, or, when not sure, only count it."""
        count, before = 0, None
        while True:
            page = await self._letters.page(wanted, before=before, limit=200)
            for letter in page.letters:
                count += not sure or await self._letters.discard(letter.letter_id)
            before = page.next
            if before is None:
                return count


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Desk]:
    """Open the desk of the system whose NATS is at `url`, as its operator."""
    async with queues.connected(url) as client:
        yield Desk(JetStreamBus(client, OPERATOR, Metrics()), JetStreamLetters(client))


def render_list(page: Page) -> RenderableType:
    """Return a table with a line for each letter."""
    if not page.letters:
        return Text("there are no such dead letters", style="dim")
    table = Table("letter", "consumer", "why", "attempts", "last (UTC)", box=SIMPLE_HEAD)
    table.add_column("about", overflow="fold")
    for letter in page.letters:
        table.add_row(
            letter.letter_id,
            letter.consumer,
            Text.assemble((letter.code, "red"), f" {_line(letter.message)}"),
            str(letter.attempts),
            moments.shown(letter.last_at),
            letter.image_id or letter.subject,
        )
    more = Text("there are more: narrow it down, or raise --limit", style="dim")
    return Group(table, more) if page.next else table


def _line(message: str) -> str:
    first = message.partition("\n")[0]
    return first if len(first) <= 60 else f"{first[:59]}…"


def render_letter(view: LetterView) -> RenderableType:
    """Return a letter for people: what, why, when, payload, traceback."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    for name, value in (
        ("letter", view.id),
        ("consumer", view.consumer),
        ("why", f"{view.code}: {view.message}"),
        ("attempts", f"{view.attempts}"),
        ("said", moments.shown(view.said_at) if view.said_at else "not known"),
        ("first attempt", moments.shown(view.first_at)),
        ("last attempt", moments.shown(view.last_at)),
        ("image", view.image_id or "none"),
        ("message", f"{view.subject} ({view.stream} {view.sequence})"),
        *((name, value) for name, value in sorted(view.headers.items())),
    ):
        facts.add_row(name, Text(value))
    title = f"payload: {view.payload_bytes} bytes, {view.payload_encoding}"
    payload = msgspec.json.format(msgspec.json.encode(view.payload)).decode()
    return Group(
        facts,
        Text(f"\n{title}", style="dim"),
        Syntax(payload, "json", word_wrap=True, background_color="default"),
        Text("\ntraceback", style="dim"),
        Text(view.traceback or "none"),
    )
