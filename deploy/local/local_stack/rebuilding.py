"""`image-system rebuild` and `rerun`: long work of the metadata service, watched from here.

The work goes on in the service; this asks for it by HTTP and shows how far it is. The system may
as well run elsewhere, in containers for example.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from local_stack import processes, state
from local_stack.errors import StackError

__all__ = ["Outcome", "Rerun", "ingress", "rebuild", "render", "rerun", "sum_up"]

_REQUEST_S = 30.0
_POLL_S = 0.3
#: Without a person to watch, a line this often.
_LINE_EVERY_S = 10.0
#: A system that does not answer for so long is not followed any more; the work goes on.
_PATIENCE_S = 60.0


class _Fingerprint(msgspec.Struct, frozen=True):
    documents: int
    digest: str


class _Difference(msgspec.Struct, frozen=True):
    image_id: str
    kind: str


class Outcome(msgspec.Struct, frozen=True):
    """A rebuild as the metadata service tells of it: the part that is shown here."""

    id: str
    phase: str
    facts: int
    pending: int
    unread: int
    load_seconds: float
    differing: int
    differences: list[_Difference]
    before: _Fingerprint | None = None
    after: _Fingerprint | None = None
    same: bool | None = None
    ended_at: str | None = None
    error: str | None = None


class Rerun(msgspec.Struct, frozen=True):
    """How far a rerun has come, in images: see `POST /metadata/reruns`."""

    seen: int = 0
    total: int = 0
    absent: int = 0
    outdated: int = 0
    current: int = 0
    asked: int = 0
    queued: int = 0
    ended: bool = False
    code: str | None = None
    error: str | None = None


class _Problem(msgspec.Struct, frozen=True):
    detail: str = ""
    code: str = ""


def ingress(data_dir: Path) -> str:
    """Return the URL of the stack that runs in `data_dir`."""
    known = state.read(data_dir)
    if known is None or known.phase == "stopped" or not processes.is_running(known.supervisor):
        raise StackError(
            f"no stack is running in {data_dir}: start one with `image-system up`, or say with "
            "--url where the system is"
        )
    return known.url


class _Rate(ProgressColumn):
    """Facts or images per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f}/s" if speed else "", style="progress.data.speed")


@contextmanager
def _shown(console: Console, title: str) -> Iterator[_Watching]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield _Watching(console, progress, title)


class _Watching:
    """A bar for a person, a line now and then for a log."""

    def __init__(self, console: Console, progress: Progress, title: str) -> None:
        self._console, self._progress, self._title = console, progress, title
        self._task = progress.add_task(title, total=None)
        self._said_at = 0.0

    def tell(self, step: str, done: int, total: int) -> None:
        """Show how far it is."""
        title = f"{self._title}: {step}" if step else self._title
        self._progress.update(self._task, description=title, completed=done, total=total or None)
        if not self._console.is_terminal and time.monotonic() - self._said_at > _LINE_EVERY_S:
            self._said_at = time.monotonic()
            self._console.print(f"{title} {done} of {total}")


def rebuild(url: str, console: Console, *, accept_loss: bool) -> Outcome:
    """Ask for a rebuild, follow it to its end and return it."""
    with httpx.Client(base_url=url, timeout=_REQUEST_S) as http:
        asked = _answer(http, "POST", "/metadata/rebuilds", json={"accept_loss": accept_loss})
        if asked.status_code == 200:
            console.print("a rebuild is under way already: following that one")
        path = asked.headers["location"]
        heard = time.monotonic()
        with _shown(console, "rebuild") as watching:
            while True:
                try:
                    outcome = msgspec.json.decode(_answer(http, "GET", path).content, type=Outcome)
                except StackError:  # restarting, perhaps: it will be continued
                    if time.monotonic() - heard > _PATIENCE_S:
                        raise
                else:
                    heard = time.monotonic()
                    watching.tell(outcome.phase, outcome.facts, outcome.facts + outcome.pending)
                    if outcome.ended_at is not None:
                        return outcome
                time.sleep(_POLL_S)


def rerun(url: str, console: Console, wanted: dict[str, Any]) -> Rerun:
    """Ask for a rerun, follow it to its end and return the last counts."""
    last = Rerun()
    try:
        with (
            httpx.Client(base_url=url, timeout=httpx.Timeout(_REQUEST_S, read=None)) as http,
            http.stream("POST", "/metadata/reruns", json=wanted) as answer,
            _shown(console, f"rerun {wanted['task']}") as watching,
        ):
            if answer.status_code != 200:
                answer.read()
                raise _refused(answer)
            for line in answer.iter_lines():
                last = msgspec.json.decode(line, type=Rerun)
                if last.error is None:
                    watching.tell(f"{last.asked} asked for", last.seen, last.total)
    except httpx.HTTPError as error:
        raise StackError(f"{url}/metadata does not answer: {_reason(error)}{_AGAIN}") from error
    if last.error is not None:
        raise StackError(f"{last.error}{_AGAIN}")
    if not last.ended:
        raise StackError(f"the answer ended early{_AGAIN}")
    return last


_AGAIN = " (run it again: what was asked for is not asked for twice)"


def _answer(http: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response:
    try:
        answer = http.request(method, path, **more)
    except httpx.HTTPError as error:
        raise StackError(
            f"{http.base_url.join('/metadata')} does not answer: {_reason(error)}"
        ) from error
    if answer.status_code not in (200, 202):
        raise _refused(answer)
    return answer


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__


def _refused(answer: httpx.Response) -> StackError:
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem()
    return StackError(problem.detail or f"{answer.request.url} answers {answer.status_code}")


def render(outcome: Outcome) -> str:
    """Return what came of a rebuild, in a few lines."""
    lines = [f"rebuild {outcome.id}: {outcome.phase}"]
    if outcome.load_seconds:
        rate = outcome.facts / outcome.load_seconds
        lines.append(f"{outcome.facts} facts in {outcome.load_seconds:.1f} s ({rate:.0f}/s)")
    if outcome.unread:
        lines.append(f"{outcome.unread} facts left out, which cannot be read or stored: see logs")
    for name, found in (("before", outcome.before), ("after", outcome.after)):
        if found is not None:
            lines.append(f"{name:6} {found.documents} documents, digest {found.digest}")
    if outcome.same:
        lines.append("the same documents as before")
    elif outcome.differing:
        lines.append(f"{outcome.differing} images differ:")
        lines += [f"  {each.image_id} {each.kind}" for each in outcome.differences[:20]]
        if outcome.differing > 20:
            lines.append(f"  … and {outcome.differing - 20} more")
    if outcome.error:
        lines.append(outcome.error)
    return "\n".join(lines)


def sum_up(counts: Rerun, *, dry_run: bool) -> str:
    """Return what came of a rerun, in one line."""
    verb = "would be asked for" if dry_run else "asked for"
    queued = f", {counts.queued} asked for before and not done yet" if counts.queued else ""
    return (
        f"{counts.seen} images: {counts.absent} without an answer, {counts.outdated} with an "
        f"outdated one, {counts.current} current; {counts.asked} {verb}{queued}"
    )
