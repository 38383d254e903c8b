"""The folder that models lie in, and which of them answers which task.

::

    <folder>/<name>/model.json     what the model is; written last, so that it is all there
    <folder>/<name>/<file>         as `model.json` lists them
    <folder>/in-use.json           the model of each task; a task that is not there has its own

The folder is shared by all that run inference, and each looks at it: what is chosen and what is
there cannot differ. Whoever writes, writes beside and renames.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from imagesystem.models.specs import KINDS, BadModel, ModelFile, ModelSpec, check, digest_of

__all__ = ["IN_USE_FILE", "Shelf"]

IN_USE_FILE = "in-use.json"
_SPEC_FILE = "model.json"
#: Where files lie until all of a model is there; nothing in it is a model.
_UNFINISHED = ".unfinished"

_Choices = dict[str, str]


class Shelf:
    """A folder of models; it need not exist to be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def models(self) -> Mapping[str, ModelSpec]:
        """Return the models that lie here, by name; what is damaged is left out."""
        found: dict[str, ModelSpec] = {}
        if self.folder.is_dir():
            for path in sorted(self.folder.glob(f"*/{_SPEC_FILE}")):
                try:
                    found[path.parent.name] = self.model(path.parent.name)
                except BadModel:
                    continue  # `model` says why to whoever asks for it by name
        return found

    def model(self, name: str) -> ModelSpec:
        """Return the model of that name; raises `BadModel` if it is not here or damaged."""
        path = self.folder / name / _SPEC_FILE
        if Path(name).name != name:
            raise BadModel(f"{name[:64]!r} is no name of a model")
        try:
            spec = check(msgspec.json.decode(path.read_bytes(), type=ModelSpec))
        except FileNotFoundError:
            raise BadModel(f"there is no model {name[:64]!r} in {self.folder}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
            raise BadModel(f"{path} cannot be read: {error}") from error
        if spec.name != name:
            raise BadModel(f"{path} describes {spec.name!r}")
        return spec

    def path(self, spec: ModelSpec, file: ModelFile) -> Path:
        """Return where a file of a model lies."""
        return self.folder / spec.name / file.name

    def verify(self, spec: ModelSpec) -> None:
        """Raise `BadModel` unless every file of the model has the digest that is told of it."""
        for file in spec.files:
            path = self.path(spec, file)
            try:
                actual = digest_of(path)
            except OSError as error:
                raise BadModel(f"{path} cannot be read: {error.strerror}") from error
            if actual != file.sha256:
                raise BadModel(
                    f"{path} is not what it was: its SHA-256 is {actual}, not {file.sha256}; "
                    "pull or add the model again"
                )

    def unfinished(self, file: ModelFile) -> Path:
        """Return where a file is written until it is all there; kept for another try."""
        folder = self.folder / _UNFINISHED
        folder.mkdir(parents=True, exist_ok=True)
        return folder / file.sha256

    def install(self, spec: ModelSpec, places: Mapping[str, Path]) -> None:
        """Put a model here at one stroke, moving its files from `places` (by their names).

        A model of the same name is replaced. Digests are the caller's business.
        """
        check(spec)
        folder = self.folder / _UNFINISHED / f"{spec.name}.new"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in spec.files:
            shutil.move(places[file.name], folder / file.name)
            (folder / file.name).chmod(0o644)
        (folder / _SPEC_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(spec)))
        folder.chmod(0o755)
        self._discard(spec.name)
        folder.rename(self.folder / spec.name)

    def remove(self, name: str) -> None:
        """Take a model away; raises `BadModel` while it answers a task or is not here."""
        if Path(name).name != name or not (self.folder / name / _SPEC_FILE).is_file():
            raise BadModel(f"there is no model {name[:64]!r} in {self.folder}")
        tasks = [task for task, used in self.in_use().items() if used == name]
        if tasks:
            raise BadModel(f"{name} answers {', '.join(tasks)}: have another model do it first")
        self._discard(name)

    def _discard(self, name: str) -> None:
        there = self.folder / name
        if there.exists():
            gone = self.folder / _UNFINISHED / f"{name}.old"
            gone.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(gone, ignore_errors=True)
            there.rename(gone)
            shutil.rmtree(gone)

    def in_use(self) -> Mapping[str, str]:
        """Return the chosen model's name by task; raises `BadModel` if that cannot be read."""
        path = self.folder / IN_USE_FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Choices)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
            raise BadModel(f"{path} cannot be read: {error}") from error

    def use(self, task: str, name: str | None) -> None:
        """Have a model answer a task from now on; None: what comes with the service."""
        choices = dict(self.in_use())
        if name is None:
            choices.pop(task, None)
        else:
            spec = self.model(name)
            if task not in spec.tasks:
                raise BadModel(f"{name} ({KINDS[spec.kind].name}) answers {', '.join(spec.tasks)}")
            choices[task] = name
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".{IN_USE_FILE}.{os.getpid()}"
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(choices)))
        beside.chmod(0o644)
        beside.replace(self.folder / IN_USE_FILE)

    def state(self) -> tuple[object, ...]:
        """Return something that changes whenever a choice or a chosen model does."""
        paths = [self.folder / IN_USE_FILE]
        with suppress(BadModel):  # its own stamp is enough to see that it was mended
            paths += [self.folder / name / _SPEC_FILE for name in sorted(self.in_use().values())]
        return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
