"""What follows from a document's sections: its status, its times, and what queries ask for.

Times are the facts' own, never the clock's: a rebuild gives the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec
from imagesystem.topology import CONSUMERS

from metadata_service.documents import SHAPE, Document, Orientation, Plan, Status, Upload
from metadata_service.findings import (
    camera,
    faces,
    labels,
    lens,
    location,
    objects,
    palette,
    taken,
    words,
)
from metadata_service.traits import traits

__all__ = ["DERIVED", "derive"]

#: The fields that follow from the others; their declaration begins with the status.
DERIVED = Document.__struct_fields__[Document.__struct_fields__.index("status") :]

#: Stages that stand for all of inference: when one of them gave up, the tasks that have not
#: answered never will.
FRAME_STAGES = frozenset(
    consumer.name for consumer in CONSUMERS.values() if consumer.service == "inference"
) | {"inference"}
#: EXIF orientations that lie on their side (EXIF 2.32, tag 0x0112).
SIDEWAYS = frozenset({5, 6, 7, 8})
_BARE = Document(image_id="")


def derive(document: Document) -> Document:
    """Return the document with its derived fields brought up to date.

    Without an upload there is no picture to describe: its fields stay empty, whatever facts
    about it came early.
    """
    status = _status(document)
    upload = document.uploaded
    if upload is None:
        tombstone = document.tombstone
        bare = {name: getattr(_BARE, name) for name in DERIVED}
        deleted_at = tombstone.deleted_at if tombstone else None
        return msgspec.structs.replace(
            document, **{**bare, "shape": SHAPE, "status": status, "updated_at": deleted_at}
        )
    width, height, orientation = _shape(upload)
    kind, colours = _looks(document)
    edited, grouped = document.annotated, document.grouped
    taken_at = taken(upload.exif)
    derived = msgspec.structs.replace(
        document,
        shape=SHAPE,
        status=status,
        ready_at=_ready_at(document) if status in ("ready", "partial", "failed") else None,
        updated_at=max(_times(document, upload)),
        owner=upload.owner,
        tags=edited.tags if edited else upload.tags,
        caption=edited.caption if edited else None,
        rating=edited.rating if edited else None,
        favourite=edited.favourite if edited else False,
        albums=sorted(name for name, each in document.collected.items() if not each.removed),
        group=grouped.group if grouped else None,
        keeper=grouped is not None and grouped.keeper == document.image_id,
        width=width,
        height=height,
        orientation=orientation,
        kind=kind,
        colours=colours,
        variant_count=len(document.augmented),
        taken_at=taken_at,
        moment=taken_at or upload.uploaded_at,
        camera=camera(upload.exif),
        lens=lens(upload.exif),
        location=location(edited.position if edited else None, upload.exif),
        megapixels=round(width * height / 1e6, 3),
        palette=palette(document),
        labels=labels(document),
        objects=objects(document),
        faces=faces(document),
    )
    # Each of these follows from what was derived before it.
    derived = msgspec.structs.replace(derived, words=words(derived))
    return msgspec.structs.replace(derived, traits=traits(derived))


def _status(document: Document) -> Status:
    if document.uploaded is None:
        return "deleted" if document.tombstone else "pending"
    gave_up = not FRAME_STAGES.isdisjoint(document.failed)
    if document.planned is None:
        return "failed" if gave_up else "pending"
    tasks = document.planned.tasks
    broken = [task for task in tasks if task in document.failed]
    waiting = [t for t in tasks if t not in document.inferred and t not in document.failed]
    if waiting and not gave_up:
        return "pending"
    if not broken and not waiting:
        return "ready"
    return "partial" if any(task in document.inferred for task in tasks) else "failed"


def _ready_at(document: Document) -> datetime | None:
    """Return when the last of what was planned was settled, one way or the other."""
    plan = document.planned
    moments = list(_settled(document, plan)) if plan else []
    outstanding = not plan or any(
        task not in document.inferred and task not in document.failed for task in plan.tasks
    )
    if outstanding:
        moments += [
            failure.failed_at for stage, failure in document.failed.items() if stage in FRAME_STAGES
        ]
    return max(moments, default=None)


def _settled(document: Document, plan: Plan) -> Iterator[datetime]:
    yield plan.planned_at
    for task in plan.tasks:
        if task in document.failed:
            yield document.failed[task].failed_at
        elif task in document.inferred:
            yield document.inferred[task].inferred_at


def _times(document: Document, upload: Upload) -> Iterator[datetime]:
    """Yield the times of the facts that the log still holds (a resolved failure is gone)."""
    yield upload.uploaded_at
    if document.planned:
        yield document.planned.planned_at
    if document.annotated:
        yield document.annotated.annotated_at
    if document.grouped:
        yield document.grouped.grouped_at
    yield from (each.collected_at for each in document.collected.values())
    yield from (answer.inferred_at for answer in document.inferred.values())
    yield from (variant.augmented_at for variant in document.augmented.values())
    yield from (failure.failed_at for failure in document.failed.values())


def _shape(upload: Upload) -> tuple[int, int, Orientation]:
    """Return width and height in pixels as a viewer sees the picture, and which is longer."""
    width, height = upload.width, upload.height
    if upload.exif and upload.exif.orientation in SIDEWAYS:
        width, height = height, width
    if width == height:
        return width, height, "square"
    return width, height, "landscape" if width > height else "portrait"


def _looks(document: Document) -> tuple[str | None, list[str]]:
    """Return the kind (photo, …) and the names of the dominant colours, strongest first."""
    analysis = document.inferred.get("analysis")
    if analysis is None or not isinstance(analysis.result, dict):
        return None, []
    kind = analysis.result["kind"]["name"]
    colours = [colour["name"] for colour in analysis.result["colours"]]
    return kind, list(dict.fromkeys(colours))
