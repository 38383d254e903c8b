"""`image-system`: the commands."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from importlib.metadata import version as version_of_package
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from imagesystem import logs
from imagesystem.permissions import USERS
from imagesystem.topology import SERVICES
from rich.live import Live

from local_stack import (
    augmenting,
    background,
    binaries,
    clusters,
    dead_letter_commands,
    demo,
    foreground,
    migrations,
    model_commands,
    nats_config,
    pause_commands,
    queues,
    rebuild_commands,
    reports,
    subscriber_commands,
)
from local_stack.errors import StackError
from local_stack.foreground import LogFormat, Options

__all__ = ["app", "main"]

_MOST_REPLICAS = 32

app = typer.Typer(
    name="image-system",
    help="Run the whole system on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Where everything is kept; tells one stack from another.")
]
DEFAULT_DATA_DIR = Path(".image-system")


def _scale(values: list[str]) -> dict[str, int]:
    replicas: dict[str, int] = {}
    for value in values:
        service, _, count = value.partition("=")
        if service == "nats" and count in map(str, clusters.SIZES):
            replicas[service] = int(count)
            continue
        if service not in SERVICES or not count.isdigit() or not 1 <= int(count) <= _MOST_REPLICAS:
            raise typer.BadParameter(
                f"{value!r}: give SERVICE=COUNT, a count from 1 to {_MOST_REPLICAS} of one of "
                f"{', '.join(SERVICES)}; nats may have {', '.join(map(str, clusters.SIZES))}"
            )
        replicas[service] = int(count)
    return replicas


@app.command()
def up(
    *,
    with_demo: Annotated[
        bool, typer.Option("--demo", help="Upload photographs and show what is found out.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when it is ready; `down` stops it.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port: Annotated[int, typer.Option(min=1, max=65535, help="HTTP port, on loopback.")] = 8011,
    nats_port: Annotated[
        int, typer.Option(min=1, max=65535, help="NATS port for subscribers, on loopback.")
    ] = 4222,
    scale: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SERVICE=COUNT", help="Run several processes of a service; nats=3 is a cluster."
        ),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(help="auto: colours on a terminal, else JSON.")
    ] = "auto",
) -> None:
    """Start the system and serve until Ctrl-C."""
    options = Options(
        data_dir=data_dir,
        port=port,
        nats_port=nats_port,
        scale=_scale(scale or []),
        demo=with_demo,
        log_format=log_format,
    )
    if detach:
        _detach(options)
    else:
        asyncio.run(foreground.run(options))


def _detach(options: Options) -> None:
    arguments = ["--data-dir", str(options.data_dir), "--log-format", "json"]
    arguments += ["--port", str(options.port), "--nats-port", str(options.nats_port)]
    for service, count in options.scale.items():
        arguments += ["--scale", f"{service}={count}"]
    console = foreground.wide_console()
    live = Live(console=console, transient=True) if console.is_terminal else None
    with live or nullcontext():
        running = background.up(
            options.data_dir,
            arguments,
            lambda now: live.update(reports.parts_table(now.parts)) if live else None,
        )
    console.print(f"image-system is ready: {running.url} (`image-system down` stops it)")
    if options.demo:
        found = asyncio.run(demo.show_and_tell(running.url, demo.pictures()))
        console.print(demo.render(running.url, found))


@app.command()
def status(
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show each part's health, version, port and pid; the exit status is 0 if all is ready."""
    report = asyncio.run(reports.examine(data_dir.absolute()))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        foreground.wide_console().print(reports.render(report))
    if not report.ready:
        raise typer.Exit(1)


@app.command()
def down(*, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Stop the stack that runs in the data folder; its data stays."""
    there_was = background.down(data_dir.absolute())
    typer.echo("stopped" if there_was else f"no stack is running in {data_dir}")


@app.command()
def version() -> None:
    """Show the version of the system and of the servers it runs."""
    typer.echo(f"image-system {version_of_package('image-system-local')}")
    for name in binaries.BINARIES:
        typer.echo(f"{name} {binaries.version_of(name, binaries.locate(name))}")


@app.command("nats-config")
def show_nats_config() -> None:
    """Print the nats-server configuration that follows from the permissions table."""
    typer.echo(nats_config.render(USERS), nl=False)


app.add_typer(subscriber_commands.app, name="subscriber")
app.add_typer(dead_letter_commands.app, name="dead-letters")
app.add_typer(model_commands.app, name="models")
app.command()(augmenting.augment)
app.command()(pause_commands.pause)
app.command()(pause_commands.resume)
app.command()(rebuild_commands.rebuild)
app.command()(rebuild_commands.rerun)
app.command()(migrations.migrate)

queues_app = typer.Typer(help="See how long the queues are, and clear them.")
app.add_typer(queues_app, name="queues")
NatsUrl = Annotated[
    str,
    typer.Option(
        "--nats-url", help="NATS of a system that runs elsewhere, with the operator's password."
    ),
]


@queues_app.callback(invoke_without_command=True)
def show_queues(
    context: typer.Context,
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    nats_url: NatsUrl = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show each durable consumer: pending, in flight, redelivered, lag in seconds, dead letters."""
    if context.invoked_subcommand is not None:
        if as_json or nats_url or data_dir != DEFAULT_DATA_DIR:
            raise typer.BadParameter(f"options come after `{context.invoked_subcommand}`")
        return
    found = asyncio.run(_queues(nats_url or queues.operator_url(data_dir.absolute())))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        foreground.wide_console().print(queues.render(found))


async def _queues(url: str) -> list[queues.Queue]:
    async with queues.connected(url) as client:
        return await queues.examine(client)


@queues_app.command("clear")
def clear_queue(
    kind: Annotated[
        str, typer.Argument(help="Which commands: commands.augment, commands.infer.analysis, …")
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them, do not only count.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    nats_url: NatsUrl = "",
) -> None:
    """Delete the commands of a kind that are still to be done; facts are never deleted."""
    subject = queues.kind_subject(kind)
    url = nats_url or queues.operator_url(data_dir.absolute())
    typer.echo(f"{asyncio.run(_clear(url, subject, yes=yes))} commands deleted ({subject})")
    if subject.startswith(queues.TASKS):
        typer.echo(
            "Their tasks are not told and stay unfinished: "
            "end them with POST /augmentation/tasks/<id>/cancel"
        )


async def _clear(url: str, subject: str, *, yes: bool) -> int:
    async with queues.connected(url) as client:
        if not yes:
            there = await queues.count(client, subject)
            raise StackError(f"{there} commands would be deleted ({subject}): say so with --yes")
        return await queues.clear(client, subject)


def main() -> None:
    """Run the command line; errors are one line on standard error and exit status 1."""
    # What our own code tells services' logs is nothing that a person at a terminal asked for, and
    # nothing for a program that reads what a command prints.
    logs.configure("image-system", level="error", form="console", stream=sys.stderr)
    try:
        app()
    except StackError as error:
        typer.echo(f"image-system: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
