"""What answers tasks: models, by name and version, and which one is in use for each task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec
from imagesystem.events import Analysis, Embedding, Faces, Labels, Objects, Text

from inference_service import analysis, embedding, faces, labels, objects, text
from inference_service.decoding import Picture

__all__ = ["BUILT_IN", "Findings", "Model", "Models", "Result"]

#: The result structs of all tasks.
Result: TypeAlias = Analysis | Text | Faces | Objects | Labels | Embedding
#: What tasks have found in a picture, by their names.
Findings: TypeAlias = Mapping[str, Result]


def _nothing() -> None:
    """Load nothing: the model is ready at once."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Something that answers a task; travels to worker processes by reference.

    `run` gets the picture with its longest side at most `side` pixels, and what the tasks that
    this one needs have found; it returns the `result` of the task's `inferred` fact. `version`
    changes when the same picture may get another answer. `load` is called before the first
    picture. `slow`: it takes so long that others should not wait for it. `languages`: ISO 639-1
    codes of what it reads, if it reads.
    """

    task: str
    name: str
    version: str
    side: int
    run: Callable[[Picture, Findings], Result]
    load: Callable[[], None] = _nothing
    slow: bool = False
    languages: tuple[str, ...] = ()


def _analyse(picture: Picture, _: Findings) -> Analysis:
    return analysis.analyse_picture(picture)


def _embed(picture: Picture, _: Findings) -> Embedding:
    return embedding.embed(picture)


def _find_objects(picture: Picture, _: Findings) -> Objects:
    return objects.find_objects(picture)


def _find_faces(picture: Picture, _: Findings) -> Faces:
    return faces.find_faces(picture)


def _read_text(picture: Picture, _: Findings) -> Text:
    return text.read_text(picture)


def _derive_labels(_: Picture, found: Findings) -> Labels:
    return labels.derive_labels(found)


#: What answers each task where nobody chose anything else; all of it comes in packages.
BUILT_IN: dict[str, Model] = {
    model.task: model
    for model in (
        Model(
            task="analysis",
            name="classical-measurements",
            version="1",
            side=analysis.SCALE,
            run=_analyse,
        ),
        Model(
            task="embedding",
            name=embedding.MODEL,
            version=embedding.VERSION,
            side=embedding.SIDE,
            run=_embed,
        ),
        Model(
            task="objects",
            name=objects.MODEL,
            version=objects.VERSION,
            side=objects.SIDE,
            run=_find_objects,
            slow=True,
        ),
        Model(
            task="faces",
            name=faces.MODEL,
            version=faces.VERSION,
            side=faces.SIDE,
            run=_find_faces,
            slow=True,
        ),
        Model(
            task="text",
            name=text.MODEL,
            version=text.VERSION,
            side=text.SIDE,
            run=_read_text,
            load=text.load,
            slow=True,
            languages=text.LANGUAGES,
        ),
        Model(task="labels", name=labels.MODEL, version=labels.VERSION, side=1, run=_derive_labels),
    )
}


class Models:
    """The model in use for each task; can be changed while the service runs."""

    def __init__(self, models: Mapping[str, Model] = BUILT_IN) -> None:
        self._in_use = dict(models)
        self._listeners: list[Callable[[Model], None]] = []

    def listen(self, listener: Callable[[Model], None]) -> None:
        """Have a function called with each model that answers from then on."""
        self._listeners.append(listener)

    def __getitem__(self, task: str) -> Model:
        return self._in_use[task]

    def built_in(self, tasks: Iterable[str]) -> list[Model]:
        """Return what comes with the service and is in use for any of `tasks`."""
        return [self[task] for task in tasks if self[task] is BUILT_IN.get(task)]

    def use(self, model: Model) -> None:
        """Have `model` answer its task from now on."""
        self._in_use[model.task] = model
        for listener in self._listeners:
            listener(model)
