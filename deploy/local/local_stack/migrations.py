"""`image-system migrate`: documents of older versions brought up to date, watched from here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import typer
from rich.console import Console

from local_stack import foreground, rebuilding
from local_stack.errors import StackError

__all__ = ["Migrated", "migrate", "run", "sum_up"]

DEFAULT_DATA_DIR = Path(".image-system")
_REQUEST_S = 30.0


class Migrated(msgspec.Struct, frozen=True):
    """How far it is, in documents: see `POST /metadata/migrations`."""

    seen: int = 0
    outdated: int = 0
    written: int = 0
    ended: bool = False
    error: str | None = None


def migrate(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    data_dir: Annotated[
        Path,
        typer.Option("--data-dir", help="Where everything is kept; tells one stack from another."),
    ] = DEFAULT_DATA_DIR,
    url: Annotated[str, typer.Option("--url", help="HTTP of a system that runs elsewhere.")] = "",
) -> None:
    """Bring the documents of older versions up to date, so that searches find them."""
    where = url.rstrip("/") or rebuilding.ingress(data_dir.absolute())
    counts = run(where, foreground.wide_console(), dry_run=dry_run)
    typer.echo(sum_up(counts, dry_run=dry_run))


def run(url: str, console: Console, *, dry_run: bool) -> Migrated:
    """Ask for a migration, follow it to its end and return the last counts."""
    last = Migrated()
    try:
        with (
            httpx.Client(base_url=url, timeout=httpx.Timeout(_REQUEST_S, read=None)) as http,
            http.stream(
                "POST", "/metadata/migrations", params={"dry_run": str(dry_run).lower()}
            ) as answer,
            console.status("migrate") as status,
        ):
            if answer.status_code != 200:
                answer.read()
                raise StackError(f"{answer.request.url} answers {answer.status_code}")
            for line in answer.iter_lines():
                last = msgspec.json.decode(line, type=Migrated)
                status.update(f"migrate: {last.seen} documents seen, {last.outdated} outdated")
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise StackError(f"{url}/metadata does not answer: {reason}") from error
    if not last.ended:
        raise StackError(f"{last.error or 'the answer ended early'} (run it again)")
    return last


def sum_up(counts: Migrated, *, dry_run: bool) -> str:
    """Return what came of it, in one line."""
    done = f"{counts.outdated} to migrate" if dry_run else f"{counts.written} migrated"
    return f"{counts.seen} documents: {done}, {counts.seen - counts.outdated} up to date"
