"""`image-system rebuild …` and `image-system rerun`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from local_stack import foreground, rebuilding

__all__ = ["rebuild", "rerun"]

DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Where everything is kept; tells one stack from another.")
]
DEFAULT_DATA_DIR = Path(".image-system")
Url = Annotated[str, typer.Option("--url", help="HTTP of a system that runs elsewhere.")]


def rebuild(
    what: Annotated[Literal["metadata"], typer.Argument(help="What to rebuild from the log.")],
    *,
    accept_loss: Annotated[
        bool,
        typer.Option("--accept-loss", help="Also if the log does not know all images any more."),
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    url: Url = "",
) -> None:
    """Replay the event log into new documents and exchange them, with a proof; it keeps serving."""
    del what  # there is one
    console = foreground.wide_console()
    where = url.rstrip("/") or rebuilding.ingress(data_dir.absolute())
    outcome = rebuilding.rebuild(where, console, accept_loss=accept_loss)
    typer.echo(rebuilding.render(outcome))
    if outcome.phase != "done":
        raise typer.Exit(1)


def rerun(
    *,
    task: Annotated[str, typer.Option("--task", help="analysis, labels, objects, faces, …")],
    missing: Annotated[
        bool, typer.Option("--missing", help="Images that have no answer of the task.")
    ] = False,
    older_than: Annotated[
        str,
        typer.Option(metavar="VERSION", help="Images whose answer is of a version before this."),
    ] = "",
    not_by: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="Images whose answer is of another model than this; its version may follow, "
            "after a space.",
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    url: Url = "",
) -> None:
    """Ask for a task again where its answer is absent or outdated, and nowhere else."""
    if not missing and not older_than and not not_by:
        raise typer.BadParameter("give --missing, --older-than VERSION or --not-by MODEL")
    wanted: dict[str, Any] = {"task": task, "missing": missing, "dry_run": dry_run}
    if older_than:
        wanted["older_than"] = older_than
    if not_by:
        wanted["not_by"] = not_by
    where = url.rstrip("/") or rebuilding.ingress(data_dir.absolute())
    counts = rebuilding.rerun(where, foreground.wide_console(), wanted)
    typer.echo(rebuilding.sum_up(counts, dry_run=dry_run))
