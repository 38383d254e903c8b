"""The event contract: one struct per fact and command, and the subject that carries it.

One type per subject: `decode` looks the subject up, it never guesses from the body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from imagesystem.errors import UndecodableEvent
from imagesystem.events.commands import Augment, BulkEdit, Infer, Plan, Replay, Resolve
from imagesystem.events.facts import (
    AnalysisInferred,
    Annotated,
    Augmented,
    Collected,
    Deleted,
    EmbeddingInferred,
    Exif,
    FacesInferred,
    Fact,
    Failed,
    Gps,
    Grouped,
    Inferred,
    LabelsInferred,
    ObjectsInferred,
    Place,
    Planned,
    TextInferred,
    Uploaded,
)
from imagesystem.events.letters import DeadLetter, letter_id
from imagesystem.events.results import (
    Analysis,
    Box,
    Colour,
    Composition,
    Embedding,
    Face,
    Faces,
    FoundObject,
    Kind,
    Label,
    Labels,
    Objects,
    Point,
    Rectangle,
    Text,
    TextLine,
    Texture,
    Vertex,
)

__all__ = [
    "COMMANDS",
    "FACTS",
    "INFERRED",
    "Analysis",
    "AnalysisInferred",
    "Annotated",
    "Augment",
    "Augmented",
    "Box",
    "BulkEdit",
    "Collected",
    "Colour",
    "Command",
    "Composition",
    "DeadLetter",
    "Deleted",
    "Embedding",
    "EmbeddingInferred",
    "Event",
    "Exif",
    "Face",
    "Faces",
    "FacesInferred",
    "Fact",
    "Failed",
    "FoundObject",
    "Gps",
    "Grouped",
    "Infer",
    "Inferred",
    "Kind",
    "Label",
    "Labels",
    "LabelsInferred",
    "Objects",
    "ObjectsInferred",
    "Place",
    "Plan",
    "Planned",
    "Point",
    "Rectangle",
    "Replay",
    "Resolve",
    "Text",
    "TextInferred",
    "TextLine",
    "Texture",
    "Uploaded",
    "Vertex",
    "decode",
    "encode",
    "event_type",
    "guard_of",
    "image_of",
    "letter_id",
]

Command: TypeAlias = Infer | Resolve | Plan | Augment | BulkEdit | Replay
Event: TypeAlias = Fact | Command | DeadLetter

#: The type behind `images.v1.<id>.<kind>`; `inferred` has one per task.
FACTS: dict[str, type[Fact]] = {
    fact.kind: fact
    for fact in (Uploaded, Planned, Augmented, Annotated, Collected, Grouped, Failed, Deleted)
}
#: The type behind `images.v1.<id>.inferred.<task>`.
INFERRED: dict[str, type[Inferred]] = {
    "analysis": AnalysisInferred,
    "text": TextInferred,
    "faces": FacesInferred,
    "objects": ObjectsInferred,
    "labels": LabelsInferred,
    "embedding": EmbeddingInferred,
}
#: The type behind `commands.v1.<name>.…`.
COMMANDS: dict[str, type[Command]] = {
    "infer": Infer,
    "resolve": Resolve,
    "plan": Plan,
    "augment": Augment,
    "edit": BulkEdit,
    "replay": Replay,
}

encode: Callable[[Event], bytes] = msgspec.json.Encoder().encode
_types: list[type[Event]] = [
    *FACTS.values(),
    *INFERRED.values(),
    *COMMANDS.values(),
    DeadLetter,
]
_decoders: dict[type[Event], msgspec.json.Decoder[Event]] = {
    kind: msgspec.json.Decoder(kind) for kind in _types
}


def type_of(subject: str) -> type[Event]:
    """Return the struct that `subject` carries, or raise `UndecodableEvent`."""
    match subject.split("."):
        case ["images", "v1", _, "inferred", task] if task in INFERRED:
            return INFERRED[task]
        case ["images", "v1", _, kind] | ["images", "v1", _, kind, _] if kind in FACTS:
            return FACTS[kind]
        case ["commands", "v1", name, *_] if name in COMMANDS:
            return COMMANDS[name]
        case ["dead", "v1", _, _]:
            return DeadLetter
    raise UndecodableEvent(f"the contract knows no subject {subject!r}", code="unknown_subject")


def decode(subject: str, body: bytes) -> Event:
    """Return the event in `body`, typed by `subject`; raises `UndecodableEvent`."""
    try:
        return _decoders[type_of(subject)].decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UndecodableEvent(f"{subject}: {error}") from error


def event_type(subject: str) -> str:
    """Return the CloudEvents type: the subject without the ids, as `images.v1.uploaded`."""
    match subject.split("."):
        case ["images", version, _, "inferred", task]:
            return f"images.{version}.inferred.{task}"
        case ["images", version, _, kind, *_]:
            return f"images.{version}.{kind}"
        case ["dead", version, *_]:
            return f"dead.{version}.letter"
        case [family, version, name, *_]:
            return f"{family}.{version}.{name}"
    return subject


def guard_of(event: Event) -> str | None:
    """Return the subject that must be empty for `event` to be accepted: the tombstone's.

    None for what may always be said: uploads, tombstones, commands and dead letters.
    """
    if isinstance(event, Fact) and not isinstance(event, Uploaded | Deleted):
        return f"images.v1.{event.image_id}.deleted"
    return None


def image_of(subject: str) -> str | None:
    """Return the image id in a fact's or an infer command's subject, if there is one."""
    match subject.split("."):
        case ["images", _, image_id, *_] | ["commands", _, "infer", _, image_id]:
            return image_id
    return None
