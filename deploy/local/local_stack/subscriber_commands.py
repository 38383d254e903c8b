"""`image-system subscriber create|list|show|remove`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from local_stack import foreground, homes, listening, subscribers
from local_stack.accounts import Subscriber
from local_stack.homes import Home

__all__ = ["app"]

app = typer.Typer(
    help="Give other systems facts to hear, each with a NATS account of its own.",
    no_args_is_help=True,
)

DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Where everything is kept; tells one stack from another.")
]
DEFAULT_DATA_DIR = Path(".image-system")
Compose = Annotated[
    bool, typer.Option("--compose", help="Of the system that runs in Docker Compose, here.")
]
Name = Annotated[str, typer.Argument(help="Lower-case letters, digits, hyphens.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """What `create` and `show` say for programs; `program` is Python, ready to run."""

    name: str
    facts: tuple[str, ...]
    objects: tuple[str, ...]
    stream: str
    durable: str
    url: str
    program: str


def _home(data_dir: Path, *, compose: bool) -> Home:
    if not compose:
        return homes.EmbeddedHome(data_dir.absolute())
    if data_dir != DEFAULT_DATA_DIR:
        raise typer.BadParameter("--compose and --data-dir are two different systems")
    return homes.ComposeHome(Path.cwd())


def _tell(home: Home, subscriber: Subscriber, *, as_json: bool) -> None:
    url = subscribers.url(home, subscriber)
    program = listening.program(subscriber, url)
    if as_json:
        created = Created(
            name=subscriber.name,
            facts=subscriber.facts,
            objects=subscriber.objects,
            stream="IMAGES",
            durable=subscriber.durable,
            url=url,
            program=program,
        )
        typer.echo(msgspec.json.format(msgspec.json.encode(created)).decode())
    else:
        # the program alone goes to standard output: `… > listen.py` saves it
        typer.echo(f"{subscriber.name} hears {', '.join(subscriber.facts)} with:\n", err=True)
        typer.echo(program, nl=False)


@app.command()
def create(
    name: Name,
    *,
    facts: Annotated[
        list[str] | None,
        typer.Option("--facts", metavar="SUBJECT", help="Which facts; may be given several times."),
    ] = None,
    objects: Annotated[
        bool, typer.Option("--objects", help="Also to read the originals of pictures.")
    ] = False,
    bucket: Annotated[
        list[str] | None,
        typer.Option("--bucket", help="Also to read another bucket, as variants."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    compose: Compose = False,
    as_json: Json = False,
) -> None:
    """Make a subscriber, and print a program that listens as it; nobody is disconnected."""
    home = _home(data_dir, compose=compose)
    asked = [*(["originals"] if objects else []), *(bucket or [])]
    made = asyncio.run(subscribers.create(home, name, facts=facts or [], objects=asked))
    _tell(home, made, as_json=as_json)


@app.command("list")
def show_all(
    *, data_dir: DataDir = DEFAULT_DATA_DIR, compose: Compose = False, as_json: Json = False
) -> None:
    """Show every subscriber: what it was given, what waits for it, when it was last seen."""
    found = asyncio.run(subscribers.examine(_home(data_dir, compose=compose)))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    elif found:
        foreground.wide_console().print(subscribers.table(found))
    else:
        typer.echo("there is no subscriber: `image-system subscriber create` makes one")


@app.command()
def show(
    name: Name,
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    compose: Compose = False,
    as_json: Json = False,
) -> None:
    """Print the program of a subscriber again, with its URL and password."""
    home = _home(data_dir, compose=compose)
    _tell(home, subscribers.find(home, name), as_json=as_json)


@app.command()
def remove(name: Name, *, data_dir: DataDir = DEFAULT_DATA_DIR, compose: Compose = False) -> None:
    """Take a subscriber's account, password and durable away; nobody else is disconnected."""
    asyncio.run(subscribers.remove(_home(data_dir, compose=compose), name))
    typer.echo(f"{name} is removed")
