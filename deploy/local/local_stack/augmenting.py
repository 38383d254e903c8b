"""`image-system augment FOLDER --recipe recipe.yaml --out OUT`: a folder, and no server.

The work is the augmentation service's, as a program of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["augment"]

PROGRAM = "augmentation_service"
LabelFormat = Literal["coco", "yolo", "voc"]


def augment(
    folder: Annotated[Path, typer.Argument(help="Its pictures, also those in folders of it.")],
    *,
    recipe: Annotated[Path, typer.Option(help="YAML or JSON: a list of steps.")],
    out: Annotated[Path, typer.Option(help="Where everything goes.")],
    variants: Annotated[int, typer.Option(min=1, help="How many to make of each picture.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Other seeds, other variants.")] = 0,
    form: Annotated[
        Literal["png", "jpeg", "webp"], typer.Option("--format", help="What variants are saved as.")
    ] = "png",
    quality: Annotated[
        int | None, typer.Option(min=1, max=100, help="For jpeg and webp; 90 if not given.")
    ] = None,
    labels: Annotated[
        LabelFormat | None, typer.Option(help="What the pictures are labelled in.")
    ] = None,
    labels_path: Annotated[
        Path | None,
        typer.Option(help="The COCO document, or the folder of labels; else beside the pictures."),
    ] = None,
    labels_out: Annotated[
        LabelFormat | None, typer.Option(help="What variants are labelled in; else the same.")
    ] = None,
    keypoints: Annotated[
        int, typer.Option(min=0, help="Keypoints of each object in YOLO's files.")
    ] = 0,
    min_area: Annotated[
        float, typer.Option(min=0, help="Drop labels with fewer square pixels.")
    ] = 0.0,
    min_visibility: Annotated[
        float, typer.Option(min=0, max=1, help="Drop labels of which less is left.")
    ] = 0.0,
    no_clip: Annotated[
        bool, typer.Option("--no-clip", help="Let labels reach over the edge.")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
) -> None:
    """Make variants of every picture in a folder; run it again to go on after an interruption."""
    options: dict[str, object | None] = {
        "--recipe": recipe,
        "--out": out,
        "--variants": variants,
        "--seed": seed,
        "--format": form,
        "--quality": quality,
        "--labels": labels,
        "--labels-path": labels_path,
        "--labels-out": labels_out,
        "--keypoints": keypoints,
        "--min-area": min_area,
        "--min-visibility": min_visibility,
        "--workers": workers,
    }
    command = [sys.executable, "-m", PROGRAM, "augment", str(folder)]
    for name, value in options.items():
        if value is not None:
            command += [f"{name}={value}"]
    if no_clip:
        command.append("--no-clip")
    sys.stdout.flush()
    os.execv(sys.executable, command)  # noqa: S606  its terminal, signals and exit status are ours
