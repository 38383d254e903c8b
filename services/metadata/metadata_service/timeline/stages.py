"""The stages of an image's life, read from the log alone: there without MongoDB as well.

The log holds the latest fact of each subject. A stage that was done again is told as it was done
last; a failure that is over is gone from the log a second later, and what is left of it are the
attempts that its success took.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from typing import Any

import msgspec
from imagesystem import tracing
from imagesystem.bus import Bus, Received
from imagesystem.events import (
    Annotated,
    Augmented,
    Collected,
    Fact,
    Failed,
    Grouped,
    Inferred,
    Planned,
    Uploaded,
)

from metadata_service.edits import image_deleted, unknown_image

__all__ = ["Stage", "Timeline", "Timelines"]


class StageError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stage gave up; `resolved`: whether it succeeded later all the same."""

    code: str
    message: str
    resolved: bool


class Stage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened.

    `stage`: the fact's kind, with its task, variant or stage behind a dot; `sequence`: its place
    in the log; `at`: when it happened, as whoever did it says; `published_at`: when the log took
    it; `offset_s`: seconds from the upload to that; `trace_id`: what the logs and traces of all
    services have it under; `by`: the service that said it. The others are there where the fact
    has them: `duration_ms` of the successful attempt, `attempts` until then.
    """

    stage: str
    sequence: int
    at: datetime
    published_at: datetime
    offset_s: float
    trace_id: str | None
    by: str | None
    attempts: int | None = None
    duration_ms: float | None = None
    model: str | None = None
    model_version: str | None = None
    tasks: list[str] | None = None
    task_id: str | None = None
    filename: str | None = None
    error: StageError | None = None


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The stages in the order of the log; `next`: give it as `after` for what follows."""

    image_id: str
    uploaded_at: datetime
    stages: list[Stage]
    next: int | None


def _uploaded(fact: Uploaded) -> dict[str, Any]:
    return {"at": fact.uploaded_at, "filename": fact.filename}


def _planned(fact: Planned) -> dict[str, Any]:
    return {"at": fact.planned_at, "tasks": fact.tasks}


def _inferred(fact: Inferred) -> dict[str, Any]:
    return {
        "at": fact.inferred_at,
        "attempts": fact.attempts,
        "duration_ms": fact.duration_ms,
        "model": fact.model,
        "model_version": fact.model_version,
    }


def _augmented(fact: Augmented) -> dict[str, Any]:
    return {"at": fact.augmented_at, "task_id": fact.task_id}


def _annotated(fact: Annotated) -> dict[str, Any]:
    return {"at": fact.annotated_at}


def _collected(fact: Collected) -> dict[str, Any]:
    return {"at": fact.collected_at}


def _grouped(fact: Grouped) -> dict[str, Any]:
    return {"at": fact.grouped_at}


def _failed(fact: Failed) -> dict[str, Any]:
    return {
        "at": fact.failed_at,
        "attempts": fact.attempts,
        "error": StageError(code=fact.code, message=fact.message, resolved=fact.resolved),
    }


#: What a stage tells of its fact, by kind.
TOLD: dict[str, Callable[[Any], dict[str, Any]]] = {
    Uploaded.kind: _uploaded,
    Planned.kind: _planned,
    Inferred.kind: _inferred,
    Augmented.kind: _augmented,
    Annotated.kind: _annotated,
    Collected.kind: _collected,
    Grouped.kind: _grouped,
    Failed.kind: _failed,
}


class Timelines:
    """The timelines of all images."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, image_id: str, *, after: int = 0, limit: int) -> Timeline:
        """Return up to `limit` stages behind the sequence `after`.

        Raises `Rejected`: 404 or 410 for an image that is not there.
        """
        prefix = f"images.v1.{image_id}"
        upload = await self._bus.latest(f"{prefix}.uploaded")
        tombstone = await self._bus.latest(f"{prefix}.deleted")
        if tombstone is not None and (upload is None or upload.sequence < tombstone.sequence):
            raise image_deleted(image_id)
        if upload is None or not isinstance(upload.event, Uploaded):
            raise unknown_image(image_id)
        # What is older is about a picture that was deleted since.
        begin = max(after, upload.sequence - 1)
        async with aclosing(
            self._bus.history(f"{prefix}.>", after=begin, batch=limit)
        ) as stretches:
            part = await anext(stretches, None)
        facts = part.facts if part else []
        stages = [await self._stage(received, upload) for received in facts]
        return Timeline(
            image_id=image_id,
            uploaded_at=upload.event.uploaded_at,
            stages=[stage for stage in stages if stage is not None],
            next=part.last if part and part.pending else None,
        )

    async def _stage(self, received: Received[Fact], upload: Received[Any]) -> Stage | None:
        fact = received.event
        told = TOLD.get(fact.kind)
        if told is None:  # the tombstone of a life before, about to be removed
            return None
        standing = tracing.standing_in(received.headers)
        more = told(fact)
        if isinstance(fact, Failed) and not fact.resolved:
            later = await self._bus.latest(f"images.v1.{fact.image_id}.inferred.{fact.stage}")
            if later is not None and later.sequence > received.sequence:
                more["error"] = msgspec.structs.replace(more["error"], resolved=True)
        return Stage(
            stage=f"{fact.kind}.{fact.key}" if fact.key else fact.kind,
            sequence=received.sequence,
            published_at=received.published_at,
            offset_s=round((received.published_at - upload.published_at).total_seconds(), 6),
            trace_id=standing.trace_id if standing else None,
            by=received.headers.get("ce-source", "").removeprefix("/") or None,
            **more,
        )
