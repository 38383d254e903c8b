"""`image-system dead-letters list|show|replay|discard`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from imagesystem import ids
from imagesystem.dead_letters import Page, Requested, Wanted
from imagesystem.dead_letters.views import letter_list, letter_view
from imagesystem.events import DeadLetter

from local_stack import dead_letters, foreground, moments, queues
from local_stack.errors import StackError

__all__ = ["app"]

app = typer.Typer(
    help="See what could not be handled; have it tried again, or throw it away.",
    no_args_is_help=True,
)

DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Where everything is kept; tells one stack from another.")
]
DEFAULT_DATA_DIR = Path(".image-system")
NatsUrl = Annotated[
    str,
    typer.Option(
        "--nats-url", help="NATS of a system that runs elsewhere, with the operator's password."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Letter = Annotated[str, typer.Argument(metavar="LETTER", help="The letter's id.")]
SomeLetters = Annotated[
    list[str] | None, typer.Argument(metavar="[LETTER]...", help="Ids; or give filters.")
]
OfConsumer = Annotated[str, typer.Option("--consumer", help="Of this durable consumer.")]
WithCode = Annotated[str, typer.Option("--code", help="With this code.")]
AboutImage = Annotated[str, typer.Option("--image", help="About the image of this id.")]
Since = Annotated[
    str, typer.Option("--since", help="Last tried then or later: 2026-11-21T12:00:00Z, or 2h ago.")
]
Until = Annotated[str, typer.Option("--until", help="Last tried earlier than that.")]
All = Annotated[bool, typer.Option("--all", help="All there are.")]


def _wanted(consumer: str, code: str, image: str, since: str, until: str) -> Wanted:
    now = ids.now()
    return Wanted(
        consumer=consumer or None,
        code=code or None,
        image_id=image or None,
        since=moments.moment(since, now) if since else None,
        until=moments.moment(until, now) if until else None,
    )


def _either(letters: list[str], wanted: Wanted, *, everything: bool) -> None:
    """Raise unless it is clear which letters are meant: by id, by filters, or all."""
    ways = (bool(letters), wanted != Wanted(), everything)
    if sum(ways) != 1:
        raise StackError("which letters? give their ids, or filters, or --all")


@app.command("list")
def list_letters(
    *,
    consumer: OfConsumer = "",
    code: WithCode = "",
    image: AboutImage = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    nats_url: NatsUrl = "",
    as_json: Json = False,
) -> None:
    """List dead letters, newest first; they are there when MongoDB and the services are not."""
    wanted = _wanted(consumer, code, image, since, until)
    page = asyncio.run(_list(_url(nats_url, data_dir), wanted, limit))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(letter_list(page))).decode())
    else:
        foreground.wide_console().print(dead_letters.render_list(page))


async def _list(url: str, wanted: Wanted, limit: int) -> Page:
    async with dead_letters.opened(url) as desk:
        return await desk.list(wanted, limit)


@app.command()
def show(
    letter: Letter,
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    nats_url: NatsUrl = "",
    as_json: Json = False,
) -> None:
    """Show one dead letter: payload, headers, traceback, attempts."""
    view = letter_view(asyncio.run(_show(_url(nats_url, data_dir), letter)))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(view)).decode())
    else:
        foreground.wide_console().print(dead_letters.render_letter(view))


async def _show(url: str, letter: str) -> DeadLetter:
    async with dead_letters.opened(url) as desk:
        return await desk.show(letter)


@app.command()
def replay(
    letters: SomeLetters = None,
    *,
    consumer: OfConsumer = "",
    code: WithCode = "",
    image: AboutImage = "",
    since: Since = "",
    until: Until = "",
    everything: All = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    nats_url: NatsUrl = "",
) -> None:
    """Let the consumers that gave up try again: each gets its own letters, and no other does."""
    wanted = _wanted(consumer, code, image, since, until)
    _either(letters or [], wanted, everything=everything)
    asyncio.run(_replay(_url(nats_url, data_dir), letters or [], wanted))


async def _replay(url: str, letters: list[str], wanted: Wanted) -> None:
    async with dead_letters.opened(url) as desk:
        for letter in letters:
            typer.echo(await desk.replay(letter))
        if not letters:
            typer.echo(_told(await desk.replay_all(wanted)))


def _told(asked: Requested) -> str:
    told = [f"{asked.requested} letters will be tried again"]
    if asked.waiting:
        told.append(f"{asked.waiting} were asked for before and have not ended")
    if asked.unknown:
        told.append(f"{asked.unknown} are of consumers that are no more")
    return "; ".join(told)


@app.command()
def discard(
    letters: SomeLetters = None,
    *,
    consumer: OfConsumer = "",
    code: WithCode = "",
    image: AboutImage = "",
    since: Since = "",
    until: Until = "",
    everything: All = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete what filters find, do not only count it.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    nats_url: NatsUrl = "",
) -> None:
    """Delete dead letters for ever: their messages will never be handled."""
    wanted = _wanted(consumer, code, image, since, until)
    _either(letters or [], wanted, everything=everything)
    asyncio.run(_discard(_url(nats_url, data_dir), letters or [], wanted, sure=yes))


async def _discard(url: str, letters: list[str], wanted: Wanted, *, sure: bool) -> None:
    async with dead_letters.opened(url) as desk:
        for letter in letters:
            await desk.discard(letter)
            typer.echo(f"{letter}: discarded")
        if letters:
            return
        count = await desk.discard_all(wanted, sure=sure)
        if not sure:
            raise StackError(f"{count} letters would be discarded for ever: say so with --yes")
        typer.echo(f"{count} letters discarded")


def _url(nats_url: str, data_dir: Path) -> str:
    return nats_url or queues.operator_url(data_dir.absolute())
