"""`up`: a stack in the foreground, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from rich.console import Console
from rich.live import Live

from local_stack import demo
from local_stack.logstream import ConsolePrinter, JsonPrinter
from local_stack.reports import parts_table
from local_stack.stack import Stack
from local_stack.state import StackState

__all__ = ["LogFormat", "Options", "run", "wide_console"]

LogFormat: TypeAlias = Literal["auto", "console", "json"]
T = TypeVar("T")
_WIDE = 140
#: One Ctrl-C may arrive twice: from the terminal, and from `uv run`, which passes it on.
_ONE_PRESS_S = 0.5


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What `up` was asked for."""

    data_dir: Path
    port: int
    nats_port: int
    scale: Mapping[str, int]
    demo: bool
    log_format: LogFormat


class _Stopped(Exception):
    """Somebody asked for the end."""


async def run(options: Options) -> None:
    """Run a stack until SIGINT, SIGTERM or SIGHUP; a second one kills what still runs.

    The log goes to standard output; what people read, too if that is a terminal, else to
    standard error. Raises `StackError`.
    """
    console, live = _displays(options.log_format)
    stack = Stack(
        options.data_dir,
        port=options.port,
        nats_port=options.nats_port,
        scale=options.scale,
        show=ConsolePrinter(console) if console else JsonPrinter(sys.stdout.buffer),
        changed=_show_parts(live) if live else None,
    )
    people = console or wide_console(stderr=True)
    ending = _end_on_signals(stack)
    try:
        with live or nullcontext():
            await _unless(ending, stack.start())
        people.print(f"image-system is ready: [bold]{stack.url}[/bold] (Ctrl-C stops it)")
        if options.demo:
            found = await _unless(ending, demo.show_and_tell(stack.url, demo.pictures()))
            people.print(demo.render(stack.url, found))
        await _unless(ending, stack.supervisor.watch())
    except _Stopped:
        people.print("stopping …")
    finally:
        await stack.stop()
    people.print("stopped")


def wide_console(*, stderr: bool = False) -> Console:
    """Return a console; one that is no terminal is wide enough for the URLs to stay whole."""
    console = Console(stderr=stderr)
    if not console.is_terminal:
        console.width = _WIDE
    return console


def _displays(log_format: LogFormat) -> tuple[Console | None, Live | None]:
    """Return the console that shows the log (None: JSON), and the display of the start."""
    terminal = sys.stdout.isatty()
    if log_format == "json" or (log_format == "auto" and not terminal):
        return None, None
    console = Console()
    return console, Live(console=console, transient=True) if terminal else None


def _show_parts(live: Live) -> Callable[[StackState], None]:
    def show(now: StackState) -> None:
        live.update(parts_table(now.parts))

    return show


def _end_on_signals(stack: Stack) -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[None] = loop.create_future()
    asked_at = 0.0

    def end() -> None:
        nonlocal asked_at
        if not ending.done():
            asked_at = loop.time()
            ending.set_result(None)
        elif loop.time() - asked_at > _ONE_PRESS_S:
            stack.abort()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup asks for
            loop.add_signal_handler(number, end)
    return ending


async def _unless(ending: asyncio.Future[None], work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns, or cancel it and raise `_Stopped` when the end is asked for."""
    task = asyncio.create_task(work)
    either: set[asyncio.Future[Any]] = {task, ending}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
        raise _Stopped
    return task.result()
