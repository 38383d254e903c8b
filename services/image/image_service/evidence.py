"""What inference has said of a picture, as far as renditions need it: crops and redaction.

Nothing is detected at request time: what is not known yet is not used, and a redaction that
needs it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from imagesystem.bus import Received
from imagesystem.errors import Rejected
from imagesystem.events import (
    AnalysisInferred,
    FacesInferred,
    Failed,
    Inferred,
    ObjectsInferred,
    Planned,
)
from imagesystem.events.results import Box

from image_service.recipes import Area, Subject

__all__ = ["NOTHING", "Evidence", "gather"]

#: Detectors frame eyes, nose and mouth: this much of a face's box is added on each side.
FACE_MARGIN = 0.2
RETRY_AFTER_S = "2"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known; `ready`: no more will come. `sequences`: of the facts, by task.

    `None` is not known; `faces_code` says why the faces are not.
    """

    ready: bool = False
    faces: tuple[Subject, ...] | None = None
    objects: tuple[Subject, ...] | None = None
    eye: tuple[float, float] | None = None
    faces_code: str = "faces_unknown"
    sequences: dict[str, int] = {}

    def _deciding(self) -> str | None:
        """Return the task whose findings a crop follows."""
        if self.faces:
            return "faces"
        if self.objects:
            return "objects"
        return "analysis" if self.eye is not None else None

    def subjects(self) -> tuple[Subject, ...]:
        """Return what a crop should show: faces, else objects, else where the eye goes."""
        task = self._deciding()
        if task == "analysis" and self.eye is not None:
            return (Subject(*self.eye, 0.0, 0.0, 1.0),)
        return (self.faces if task == "faces" else self.objects) or ()

    def faces_to_redact(self) -> list[Area]:
        """Return the boxes of all faces, with a margin.

        Raises `Rejected`: 503 `faces_pending` while they are not known, 422 `faces_failed` or
        `faces_not_planned` when they will not be, 422 `faces_unknown` where nobody looks.
        """
        if self.faces is None:
            status, message = _FACES_UNKNOWN[self.faces_code]
            headers = {"retry-after": RETRY_AFTER_S} if status == 503 else {}
            raise Rejected(status, self.faces_code, message, limit="redact", headers=headers)
        areas: list[Area] = []
        for face in self.faces:
            across, down = face.width * FACE_MARGIN, face.height * FACE_MARGIN
            left, top = max(0.0, face.left - across), max(0.0, face.top - down)
            right = min(1.0, face.left + face.width + across)
            bottom = min(1.0, face.top + face.height + down)
            areas.append(("share", left, top, right - left, bottom - top))
        return areas

    def used(self, *, crop: bool, redaction: bool) -> dict[str, int]:
        """Return the sequences of the facts that have a say in a rendition."""
        tasks = {self._deciding()} if crop else set()
        if redaction:
            tasks.add("faces")
        return {task: self.sequences[task] for task in sorted(filter(None, tasks))}


_FACES_UNKNOWN = {
    "faces_pending": (503, "the faces in the picture are not known yet: ask again"),
    "faces_failed": (422, "finding the faces in the picture failed, so none can be redacted"),
    "faces_not_planned": (422, "nothing looks for faces in this picture: redact boxes instead"),
    "faces_unknown": (422, "faces are known of uploaded pictures alone: redact boxes instead"),
}
#: What is known of a picture that was never uploaded.
NOTHING = Evidence(ready=True)


def gather(facts: Sequence[Received[Any]]) -> Evidence:
    """Return what the facts about one image say."""
    events = [received.event for received in facts]
    found = {event.task: event for event in events if isinstance(event, Inferred)}
    failed = {event.stage for event in events if isinstance(event, Failed) and not event.resolved}
    planned = next((event.tasks for event in events if isinstance(event, Planned)), None)
    faces, objects = found.get("faces"), found.get("objects")
    analysis = found.get("analysis")
    return Evidence(
        ready=planned is not None and set(planned) <= found.keys() | failed,
        faces=tuple(_subject(face.box, face.confidence) for face in faces.result.faces)
        if isinstance(faces, FacesInferred)
        else None,
        objects=tuple(_subject(each.box, each.confidence) for each in objects.result.objects)
        if isinstance(objects, ObjectsInferred)
        else None,
        eye=_eye(analysis) if isinstance(analysis, AnalysisInferred) else None,
        faces_code=_faces_code(planned, failed),
        sequences={
            received.event.task: received.sequence
            for received in facts
            if isinstance(received.event, Inferred)
        },
    )


def _faces_code(planned: list[str] | None, failed: set[str]) -> str:
    if "faces" in failed:
        return "faces_failed"
    if planned is None or "faces" in planned:
        return "faces_pending"
    return "faces_not_planned"


def _subject(box: Box, confidence: float) -> Subject:
    """The surer and the larger, the more it matters."""
    place = box.relative
    weight = round(confidence * (place.width * place.height) ** 0.5, 6)
    return Subject(place.x, place.y, place.width, place.height, weight)


def _eye(analysis: AnalysisInferred) -> tuple[float, float]:
    centre = analysis.result.composition.saliency_centre
    return centre.x, centre.y
