"""What `status` says, for people and for programs."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from local_stack import credentials, processes, state
from local_stack.moments import shown
from local_stack.nats_config import SUBSCRIBER
from local_stack.ports import LOOPBACK
from local_stack.readiness import Answer, probe
from local_stack.state import PartState, StackState

__all__ = ["PartReport", "Report", "examine", "parts_table", "render"]

_STYLES = {
    "ready": "green",
    "starting": "yellow",
    "waiting": "dim",
    "unready": "red",
    "restarting": "red",
    "held": "yellow",
    "stopping": "yellow",
    "stopped": "dim",
}


class PartReport(msgspec.Struct, frozen=True, kw_only=True):
    """One part as it is now; `detail`: why it is not ready, or which of its work is paused.

    `paused`: until when, by consumer.
    """

    name: str
    ready: bool
    status: str
    detail: str
    version: str
    port: int
    pid: int | None
    restarts: int
    paused: dict[str, datetime] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The stack of a data folder as it is now; the URLs are null while none runs there."""

    running: bool
    ready: bool
    phase: str
    data_dir: str
    pid: int | None = None
    url: str | None = None
    subscriber_url: str | None = None
    parts: list[PartReport] = []


async def examine(data_dir: Path) -> Report:
    """Ask every part of the stack in `data_dir` how it is."""
    known = state.read(data_dir)
    if known is None or known.phase == "stopped" or not processes.is_running(known.supervisor):
        return Report(running=False, ready=False, phase="stopped", data_dir=str(data_dir))
    answers = await asyncio.gather(*(_ask(part) for part in known.parts))
    parts = [_part(part, answer) for part, answer in zip(known.parts, answers, strict=True)]
    return Report(
        running=True,
        ready=known.phase == "running" and all(part.ready for part in parts),
        phase=known.phase,
        data_dir=str(data_dir),
        pid=known.supervisor.pid,
        url=known.url,
        subscriber_url=_subscriber_url(data_dir, known),
        parts=parts,
    )


async def _ask(part: PartState) -> Answer:
    if part.process is None:
        return Answer(problem=part.detail or "it does not run")
    return await probe(part.probe)


def _part(part: PartState, answer: Answer) -> PartReport:
    ready = answer.problem is None
    status = part.status
    if ready != (status == "ready"):
        status = "ready" if ready else "unready"
    return PartReport(
        name=part.name,
        ready=ready,
        status=status,
        detail=answer.problem or _held_back(answer.paused),
        version=answer.version or part.version,
        port=part.port,
        pid=part.pid,
        restarts=part.restarts,
        paused=answer.paused,
    )


def _held_back(paused: dict[str, datetime]) -> str:
    return ", ".join(f"{name} paused until {shown(until)}" for name, until in paused.items())


def _subscriber_url(data_dir: Path, known: StackState) -> str:
    password = credentials.load_or_create(data_dir / "credentials.json").nats[SUBSCRIBER]
    return f"nats://{SUBSCRIBER}:{password}@{LOOPBACK}:{known.nats_port}"


def parts_table(parts: list[PartReport] | list[PartState]) -> Table:
    """Return a table with a line for each part."""
    table = Table("part", "", "version", "port", "pid", "restarts", "", box=SIMPLE_HEAD)
    for part in parts:
        table.add_row(
            part.name,
            Text(part.status, style=_STYLES[part.status]),
            part.version,
            str(part.port),
            str(part.pid or ""),
            str(part.restarts or ""),
            part.detail,
        )
    return table


def render(report: Report) -> RenderableType:
    """Return the report for people."""
    if not report.running:
        return Text(f"no stack is running in {report.data_dir}: start one with `image-system up`")
    where = Table.grid(padding=(0, 2))
    where.add_column(no_wrap=True)
    where.add_column(no_wrap=True, overflow="ignore")
    where.add_row("system", report.url)
    where.add_row("subscribers", report.subscriber_url)
    where.add_row("data", report.data_dir)
    return Group(parts_table(report.parts), where)
