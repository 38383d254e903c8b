"""`python -m augmentation_service.folders.command FOLDER --recipe recipe.yaml --out OUT`.

Exit status: 0 if all was made, 1 if pictures were passed over, 2 if it could not begin, 130 after
Ctrl-C. What was made stays in every case, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import msgspec
from imagesystem import logs
from imagesystem.workers import usable_cores
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from augmentation_service.engine import MAX_SEED, Rules
from augmentation_service.folders import labels
from augmentation_service.folders.errors import BadRun
from augmentation_service.folders.plan import Order, Plan, planned
from augmentation_service.folders.run import Summary, run
from augmentation_service.pictures import FORMATS

__all__ = ["main"]

_SHOWN = 20


def _within(least: float, most: float, kind: Callable[[str], float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not from {least:g} to {most:g}")
        return value

    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="augmentation-service augment",
        description="Make variants of every picture in a folder; no server is needed.",
    )
    formats = get_args(labels.Format)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--recipe", type=Path, required=True, help="YAML or JSON: a list of steps")
    parser.add_argument("--out", type=Path, required=True, help="where everything goes")
    parser.add_argument("--variants", type=_within(1, 100_000, int), default=1)
    parser.add_argument("--seed", type=_within(0, MAX_SEED, int), default=0)
    parser.add_argument("--format", choices=[*FORMATS], default="png")
    parser.add_argument("--quality", type=_within(1, 100, int), help="for jpeg and webp")
    parser.add_argument("--labels", choices=formats, help="what the pictures are labelled in")
    parser.add_argument(
        "--labels-path", type=Path, help="the COCO document, or the folder of labels [FOLDER]"
    )
    parser.add_argument("--labels-out", choices=formats, help="[as --labels]")
    parser.add_argument(
        "--keypoints", type=_within(0, 1000, int), default=0, help="per object, in YOLO's files"
    )
    parser.add_argument("--min-area", type=_within(0, 1e12, float), default=0.0)
    parser.add_argument("--min-visibility", type=_within(0, 1, float), default=0.0)
    parser.add_argument("--no-clip", action="store_true", help="labels may reach over the edge")
    parser.add_argument("--max-pixels", type=_within(1, 1e12, int), default=100_000_000)
    parser.add_argument("--workers", type=_within(0, 256, int), default=0, help="0: one per core")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Augment a folder; returns the exit status."""
    given = _parser().parse_args(arguments)
    logs.configure("augment", level="error", form="console")
    console = Console(stderr=True)
    try:
        plan = planned(_order(given))
        with _progress(console, plan) as tell:
            summary = asyncio.run(run(plan, given.workers or usable_cores(), tell))
    except BadRun as error:
        console.print(
            f"augment: {error}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        return 2
    except OSError as error:
        console.print(f"augment: {error.filename}: {error.strerror}", style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("interrupted: the same command goes on from here")
        return 130
    _tell(console, plan, summary)
    return 1 if summary.problems else 0


def _order(given: argparse.Namespace) -> Order:
    if given.labels is None and (given.labels_path or given.labels_out):
        raise BadRun("--labels-path and --labels-out need --labels")
    values = {
        field.name: getattr(given, field.name)
        for field in msgspec.structs.fields(Order)
        if hasattr(given, field.name)
    }
    rules = Rules(
        min_area=given.min_area, min_visibility=given.min_visibility, clip=not given.no_clip
    )
    return Order(**values, rules=rules)


@contextmanager
def _progress(console: Console, plan: Plan) -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("augmenting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    if not console.is_terminal:
        console.print(f"augmenting: {plan.total} variants of {len(plan.pictures)} pictures")
        yield lambda _: None
        return
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("augmenting", total=plan.total)
        yield lambda settled: progress.advance(bar, settled)


def _tell(console: Console, plan: Plan, summary: Summary) -> None:
    for name, problem in [*summary.problems.items()][:_SHOWN]:
        console.print(
            f"{name}: {problem}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )
    if len(summary.problems) > _SHOWN:
        console.print(f"… and {len(summary.problems) - _SHOWN} more")
    kept = f", {summary.kept} were there" if summary.kept else ""
    passed = f"; {len(summary.problems)} pictures passed over" if summary.problems else ""
    console.print(
        f"{summary.made} variants made{kept}, in {plan.order.out}{passed}",
        soft_wrap=True,
        highlight=False,
    )


if __name__ == "__main__":
    sys.exit(main())
