"""`image-system models list|pull|add|remove|use`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from imagesystem.events import INFERRED
from imagesystem.models import BadModel, ModelFile, Shelf, catalogue
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from local_stack import foreground, model_downloads, models
from local_stack.errors import StackError

__all__ = ["app"]

app = typer.Typer(
    help="Have other models answer: see which there are, download, add, choose.",
    no_args_is_help=True,
)

DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Where everything is kept; tells one stack from another.")
]
DEFAULT_DATA_DIR = Path(".image-system")
ModelsDir = Annotated[
    Path | None,
    typer.Option(
        "--models-dir",
        envvar="MODELS_DIR",
        help="Where models lie. Without it: `models` in the data folder.",
    ),
]
Name = Annotated[str, typer.Argument(help="The model's name, as `models list` shows it.")]


def _shelf(data_dir: Path, models_dir: Path | None) -> Shelf:
    return Shelf((models_dir or data_dir / models.FOLDER).absolute())


@app.command("list")
def list_models(
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    models_dir: ModelsDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show the models that may be downloaded and those that are here, and which are in use."""
    try:
        found = models.rows(_shelf(data_dir, models_dir))
    except BadModel as error:
        raise StackError(error.message) from error
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        foreground.wide_console().print(models.render(found))


@app.command()
def pull(
    name: Name,
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    models_dir: ModelsDir = None,
    url: Annotated[
        str,
        typer.Option("--url", help="Another place for a model of one file; it must be the same."),
    ] = "",
) -> None:
    """Download a model of the catalogue, check its digest, and try it on a blank picture."""
    shelf = _shelf(data_dir, models_dir)
    spec = catalogue().get(name)
    if spec is None:
        raise StackError(f"there is no model {name!r}; there are: {', '.join(catalogue())}")
    if url:
        if len(spec.files) != 1:
            raise StackError(f"{name} has {len(spec.files)} files: one address is not enough")
        spec = msgspec.structs.replace(
            spec, files=(msgspec.structs.replace(spec.files[0], url=url),)
        )
    console = foreground.wide_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        shown: dict[str, TaskID] = {}

        def progress(file: ModelFile, have: int, total: int | None) -> None:
            if file.name not in shown:
                shown[file.name] = bars.add_task(file.name)
            bars.update(shown[file.name], completed=have, total=total)

        model_downloads.pull(shelf, spec, progress)
    models.try_out(shelf, name)
    typer.echo(f"{name} is here ({spec.licence}): `image-system models use {spec.tasks[0]} {name}`")


@app.command()
def add(
    path: Annotated[
        Path, typer.Argument(help="An ONNX file, or a folder with a model.toml and its files.")
    ],
    *,
    name: Annotated[str, typer.Option("--name", help="What to call it; else as the file.")] = "",
    kind: Annotated[
        str, typer.Option("--kind", help="How it is fed and read: yolox, yolov8, classifier, …")
    ] = "",
    task: Annotated[
        list[str] | None, typer.Option("--task", help="What it answers; else as its kind.")
    ] = None,
    classes: Annotated[
        str,
        typer.Option("--classes", help="A file with a name a line, or coco-80, imagenet-1k."),
    ] = "",
    characters: Annotated[
        Path | None,
        typer.Option(
            "--characters",
            help="What it reads, a character a line, in its order; where the file does not say so.",
        ),
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", help="What it reads, as an ISO 639-1 code; may be repeated."),
    ] = None,
    licence: Annotated[
        str, typer.Option("--licence", help="Under which it may be used.")
    ] = "unknown",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    models_dir: ModelsDir = None,
) -> None:
    """Add a model of your own, and try it on a blank picture."""
    shelf = _shelf(data_dir, models_dir)
    spec = models.add(
        shelf,
        path,
        name=name,
        kind=kind,
        tasks=tuple(task or ()),
        classes=classes,
        licence=licence,
        characters=characters,
        languages=tuple(language or ()),
    )
    models.try_added(shelf, spec.name)
    typer.echo(f"{spec.name} is here: `image-system models use {spec.tasks[0]} {spec.name}`")


@app.command()
def remove(
    name: Name, *, data_dir: DataDir = DEFAULT_DATA_DIR, models_dir: ModelsDir = None
) -> None:
    """Delete a model's files; not while it answers."""
    try:
        _shelf(data_dir, models_dir).remove(name)
    except BadModel as error:
        raise StackError(error.message) from error
    except OSError as error:
        raise StackError(f"{error.filename}: {error.strerror}") from error
    typer.echo(f"{name} is gone")


@app.command()
def use(
    task: Annotated[
        str, typer.Argument(help="What is asked: objects, faces, text, labels, embedding.")
    ],
    name: Annotated[str, typer.Argument(help="The model that shall answer; or built-in.")],
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    models_dir: ModelsDir = None,
) -> None:
    """Have a model answer a task from now on; a system that runs notices within a second or two."""
    if task not in INFERRED:
        raise StackError(f"there is no task {task!r}; there are: {', '.join(INFERRED)}")
    shelf = _shelf(data_dir, models_dir)
    try:
        if name != models.BUILT_IN:
            spec = shelf.model(name)
            if task not in spec.tasks:
                raise StackError(f"{name} answers {', '.join(spec.tasks)}, not {task}")
            models.try_out(shelf, name)
        shelf.use(task, None if name == models.BUILT_IN else name)
    except BadModel as error:
        raise StackError(error.message) from error
    except OSError as error:
        raise StackError(f"{error.filename}: {error.strerror}") from error
    typer.echo(f"{task} is answered by {name} from now on; what was answered before stays as it is")
