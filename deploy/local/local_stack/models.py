"""The models of a system: what may be had, what is there, what answers; and adding one's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
from imagesystem.models import (
    KINDS,
    BadModel,
    ModelFile,
    ModelSpec,
    Shelf,
    catalogue,
    check,
    digest_of,
)
from imagesystem.models.specs import Role
from rich.table import Table

from local_stack.errors import StackError

__all__ = ["BUILT_IN", "FOLDER", "Row", "add", "render", "rows", "try_added", "try_out"]

#: Where models lie in the data folder.
FOLDER = "models"
#: What a task is told to use to go back to what comes with the service.
BUILT_IN = "built-in"
#: Seconds that trying a model may take: a large one is loaded from a slow disk.
TRIAL_S = 300.0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A model: whether it is `installed`, and the tasks that it is `used` for."""

    name: str
    tasks: tuple[str, ...]
    kind: str
    licence: str
    bytes: int
    installed: bool
    used: tuple[str, ...]
    description: str
    languages: tuple[str, ...] = ()


def rows(shelf: Shelf) -> list[Row]:
    """Return all models: those that are there, and those that may be pulled."""
    installed, chosen = shelf.models(), shelf.in_use()
    return [
        Row(
            name=name,
            tasks=spec.tasks,
            kind=spec.kind,
            licence=spec.licence,
            bytes=sum(file.bytes for file in spec.files),
            installed=name in installed,
            used=tuple(task for task, used in chosen.items() if used == name),
            description=spec.description,
            languages=spec.languages,
        )
        for name, spec in sorted({**catalogue(), **installed}.items())
    ]


def render(found: list[Row]) -> Table:
    """Return the models as a table."""
    table = Table(box=None, pad_edge=False)
    for title in ("model", "answers", "kind", "licence", "MB", "here", "in use for", ""):
        table.add_column(title, justify="right" if title == "MB" else "left")
    for row in found:
        table.add_row(
            row.name,
            ", ".join(row.tasks),
            row.kind,
            row.licence,
            f"{row.bytes / 1e6:.1f}" if row.bytes else "?",
            "yes" if row.installed else "",
            ", ".join(row.used),
            row.description,
        )
    return table


def add(
    shelf: Shelf,
    path: Path,
    *,
    name: str,
    kind: str,
    tasks: tuple[str, ...],
    classes: str,
    licence: str,
    characters: Path | None = None,
    languages: tuple[str, ...] = (),
) -> ModelSpec:
    """Copy a model onto the shelf: an ONNX file, or a folder with `model.toml` and the files.

    Its digests are computed. Raises `StackError` in one line.
    """
    try:
        for each in (path, *((characters,) if characters else ())):
            if not each.exists():
                raise StackError(f"there is no {each}")
        if path.is_dir():
            spec = _described(path)
            given = {file.name: path / file.name for file in spec.files}
        else:
            spec = _told(
                path,
                ModelSpec(
                    name=name or path.stem.lower(),
                    kind=kind,
                    tasks=tasks,
                    licence=licence,
                    classes=_classes(classes),
                    files=(),
                    languages=languages,
                ),
                characters,
            )
            given = {each.name: each for each in (path, characters) if each is not None}
        places: dict[str, Path] = {}
        for file in spec.files:
            places[file.name] = shelf.unfinished(file)
            shutil.copyfile(given[file.name], places[file.name])
        shelf.install(spec, places)
    except BadModel as error:
        raise StackError(error.message) from error
    except OSError as error:
        raise StackError(f"{error.filename}: {error.strerror}") from error
    return spec


def _told(path: Path, told: ModelSpec, characters: Path | None) -> ModelSpec:
    """Return what is told of a model of one network, with its files, and its kind's usual task."""
    if told.kind not in KINDS:
        raise StackError(f"say what it is with --kind: {', '.join(KINDS)}")
    files = [_file("image", path), *([_file("characters", characters)] if characters else [])]
    return check(
        msgspec.structs.replace(
            told, tasks=told.tasks or KINDS[told.kind].tasks[:1], files=tuple(files)
        )
    )


def _classes(told: str) -> str | tuple[str, ...]:
    """Return a list's name as it is, or the lines of a file."""
    if told and Path(told).is_file():
        lines = Path(told).read_text(encoding="utf-8").splitlines()
        return tuple(line.strip() for line in lines if line.strip())
    return told or ()


def _described(folder: Path) -> ModelSpec:
    """Return what `model.toml` says: an entry of the catalogue, its files by role, no digests."""
    path = folder / "model.toml"
    try:
        told = msgspec.toml.decode(path.read_bytes())
        named = msgspec.convert(told.pop("files", {}), dict[Role, str])
    except FileNotFoundError:
        raise StackError(f"{folder} has no model.toml that says what it is") from None
    except msgspec.MsgspecError as error:
        raise StackError(f"{path}: {error}") from error
    for file in named.values():
        if Path(file).name != file or not (folder / file).is_file():
            raise StackError(f"{path}: there is no file {file!r} in {folder}")
    files = [msgspec.to_builtins(_file(role, folder / file)) for role, file in named.items()]
    entry = {"licence": "unknown", **told, "files": files}
    try:
        return check(msgspec.convert(entry, ModelSpec))
    except msgspec.ValidationError as error:
        raise StackError(f"{path}: {error}") from error


def _file(role: Role, path: Path) -> ModelFile:
    return ModelFile(role=role, name=path.name, sha256=digest_of(path), bytes=path.stat().st_size)


def try_added(shelf: Shelf, name: str) -> None:
    """Try a model that was added just now, and take it away again if it cannot be used."""
    try:
        try_out(shelf, name)
    except StackError:
        if name not in shelf.in_use().values():
            shelf.remove(name)
        raise


def try_out(shelf: Shelf, name: str) -> None:
    """Have the inference service's own program load a model and look at a blank picture.

    Raises `StackError` with its line when the model cannot be used.
    """
    module = "inference_service.networks.trial"
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, str(shelf.folder.absolute()), name],
            capture_output=True,
            text=True,
            timeout=TRIAL_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StackError(f"{name} did not look at a picture in {TRIAL_S:g} s") from error
    try:
        told = msgspec.json.decode(done.stdout or "{}", type=dict[str, object])
    except msgspec.DecodeError:
        told = {}
    if done.returncode == 0:
        return
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    how = f"it died (status {done.returncode}: {last[:200]})"
    raise StackError(f"{name} cannot be used: {told.get('error') or how}")
