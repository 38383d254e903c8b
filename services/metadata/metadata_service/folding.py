"""Folding facts into documents: pure, and the same whatever the order facts arrive in.

A document is what these rules make of the set of facts seen so far:

- Per fact key (`uploaded`, `inferred.analysis`, …) the highest stream sequence wins.
- Nothing at or below the tombstone's sequence counts.
- Nothing older than the newest upload counts: an image's life begins with its upload, which is
  announced once. (What slipped in between a deletion and the next upload is about the past.)
- A failure counts until the stage's own answer, or `resolved`, is newer.

Each rule only ever drops what can never count again, so facts may come late, twice or in any
order. A fact newer than the tombstone may overtake its upload: it is kept (and not shown)
until the upload is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from imagesystem.bus import Received
from imagesystem.events import (
    Annotated,
    Augmented,
    Collected,
    Deleted,
    Fact,
    Failed,
    Grouped,
    Inferred,
    Planned,
)
from imagesystem.events import Uploaded as UploadedFact

from metadata_service.derivation import derive
from metadata_service.documents import (
    Annotation,
    Document,
    Failure,
    Grouping,
    Inference,
    Membership,
    Plan,
    Tombstone,
    Upload,
    Variant,
)

__all__ = ["fact_key", "fold", "fold_all"]

V = TypeVar("V")


def fact_key(fact: Fact) -> str:
    """Return the fact's key in `Document.seq`: its subject after the image id."""
    return f"{fact.kind}.{fact.key}" if fact.key else fact.kind


def fold(document: Document | None, fact: Fact, sequence: int) -> Document | None:
    """Return the document after `fact`, which has the stream sequence `sequence`.

    None: nothing changes (the fact is old, or superseded, or known). `version` is left as it
    is: it belongs to whoever writes.
    """
    taken = _take(document or Document(image_id=fact.image_id), fact, sequence)
    return derive(taken) if taken else None


def fold_all(document: Document | None, facts: Iterable[Received[Fact]]) -> Document | None:
    """Return what `fold` makes of the facts one after the other, derived once at the end.

    None: nothing changes.
    """
    after = None
    for received in facts:
        before = after or document or Document(image_id=received.event.image_id)
        after = _take(before, received.event, received.sequence) or after
    return derive(after) if after else None


def _take(before: Document, fact: Fact, sequence: int) -> Document | None:
    if isinstance(fact, Deleted):
        taken = _bury(before, fact, sequence)
    elif sequence <= max(before.seq.get(fact_key(fact), 0), _floor(before)):
        taken = None
    else:
        kind = Inferred if isinstance(fact, Inferred) else type(fact)
        taken = _TAKE[kind](before, fact, sequence)
    # Only these raise the floor; everything else is taken because it is above it.
    return _prune(taken) if taken and isinstance(fact, Deleted | UploadedFact) else taken


def _floor(document: Document) -> int:
    """Return the sequence at or below which no further fact counts."""
    return max(_buried(document), document.seq.get("uploaded", 0))


def _buried(document: Document) -> int:
    return document.tombstone.seq if document.tombstone else 0


def _bury(document: Document, fact: Deleted, sequence: int) -> Document | None:
    if sequence <= _buried(document):
        return None
    tombstone = Tombstone(seq=sequence, reason=fact.reason, deleted_at=_time(fact.deleted_at))
    return msgspec.structs.replace(document, tombstone=tombstone)


def _prune(document: Document) -> Document:
    """Drop what no longer counts: everything at or below the floor, but the upload itself."""
    floor, buried = _floor(document), _buried(document)
    seq = {
        key: sequence
        for key, sequence in document.seq.items()
        if sequence > floor or (key == "uploaded" and sequence > buried)
    }
    if len(seq) == len(document.seq):
        return document
    return msgspec.structs.replace(
        document,
        seq=seq,
        uploaded=document.uploaded if "uploaded" in seq else None,
        planned=document.planned if "planned" in seq else None,
        annotated=document.annotated if "annotated" in seq else None,
        collected=_kept(document.collected, "collected", seq),
        grouped=document.grouped if "grouped.duplicates" in seq else None,
        inferred=_kept(document.inferred, "inferred", seq),
        augmented=_kept(document.augmented, "augmented", seq),
        failed=_kept(document.failed, "failed", seq),
    )


def _kept(section: Mapping[str, V], kind: str, seq: Mapping[str, int]) -> dict[str, V]:
    return {key: value for key, value in section.items() if f"{kind}.{key}" in seq}


def _take_uploaded(document: Document, fact: UploadedFact, sequence: int) -> Document:
    return msgspec.structs.replace(
        document,
        seq={**document.seq, "uploaded": sequence},
        uploaded=Upload(
            filename=fact.filename,
            media_type=fact.media_type,
            size_bytes=fact.size_bytes,
            width=fact.width,
            height=fact.height,
            frames=fact.frames,
            sha256=fact.sha256,
            uploaded_at=_time(fact.uploaded_at),
            owner=fact.owner,
            tags=fact.tags,
            exif=fact.exif,
        ),
    )


def _take_planned(document: Document, fact: Planned, sequence: int) -> Document:
    return msgspec.structs.replace(
        document,
        seq={**document.seq, "planned": sequence},
        planned=Plan(tasks=fact.tasks, planned_at=_time(fact.planned_at)),
    )


def _take_inferred(document: Document, fact: Inferred, sequence: int) -> Document:
    task = fact.task
    seq = {**document.seq, f"inferred.{task}": sequence}
    failed = dict(document.failed)
    if seq.get(f"failed.{task}", sequence) < sequence:
        del seq[f"failed.{task}"]
        failed.pop(task, None)
    answer = Inference(
        model=fact.model,
        model_version=fact.model_version,
        duration_ms=fact.duration_ms,
        inferred_at=_time(fact.inferred_at),
        attempts=fact.attempts,
        # A vector stays binary: a third smaller than as text.
        result=msgspec.to_builtins(getattr(fact, "result", None), builtin_types=(bytes,)),
    )
    inferred = {**document.inferred, task: answer}
    return msgspec.structs.replace(document, seq=seq, inferred=inferred, failed=failed)


def _take_augmented(document: Document, fact: Augmented, sequence: int) -> Document:
    variant = Variant(
        task_id=fact.task_id,
        object=fact.object,
        media_type=fact.media_type,
        width=fact.width,
        height=fact.height,
        augmented_at=_time(fact.augmented_at),
        receipt=_json(fact.receipt),
        labels=None if fact.labels is None else _json(fact.labels),
    )
    return msgspec.structs.replace(
        document,
        seq={**document.seq, f"augmented.{fact.variant_id}": sequence},
        augmented={**document.augmented, fact.variant_id: variant},
    )


def _take_annotated(document: Document, fact: Annotated, sequence: int) -> Document:
    return msgspec.structs.replace(
        document,
        seq={**document.seq, "annotated": sequence},
        annotated=Annotation(
            annotated_at=_time(fact.annotated_at),
            tags=fact.tags,
            caption=fact.caption,
            rating=fact.rating,
            favourite=fact.favourite,
            position=fact.position,
        ),
    )


def _take_collected(document: Document, fact: Collected, sequence: int) -> Document:
    membership = Membership(
        collected_at=_time(fact.collected_at),
        order=fact.order,
        cover=fact.cover,
        removed=fact.removed,
    )
    return msgspec.structs.replace(
        document,
        seq={**document.seq, fact_key(fact): sequence},
        collected={**document.collected, fact.album_id: membership},
    )


def _take_grouped(document: Document, fact: Grouped, sequence: int) -> Document:
    return msgspec.structs.replace(
        document,
        seq={**document.seq, fact_key(fact): sequence},
        grouped=Grouping(grouped_at=_time(fact.grouped_at), group=fact.group, keeper=fact.keeper),
    )


def _take_failed(document: Document, fact: Failed, sequence: int) -> Document | None:
    stage = fact.stage
    if sequence <= document.seq.get(f"inferred.{stage}", 0):
        return None
    failed = dict(document.failed)
    failed.pop(stage, None)
    if not fact.resolved:
        failed[stage] = Failure(
            code=fact.code,
            message=fact.message,
            attempts=fact.attempts,
            failed_at=_time(fact.failed_at),
        )
    seq = {**document.seq, f"failed.{stage}": sequence}
    return msgspec.structs.replace(document, seq=seq, failed=failed)


_TAKE: dict[type[Fact], Callable[[Document, Any, int], Document | None]] = {
    UploadedFact: _take_uploaded,
    Planned: _take_planned,
    Inferred: _take_inferred,
    Augmented: _take_augmented,
    Annotated: _take_annotated,
    Collected: _take_collected,
    Grouped: _take_grouped,
    Failed: _take_failed,
}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _time(moment: datetime) -> datetime:
    """Return the moment as BSON can hold it: UTC, whole milliseconds."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
