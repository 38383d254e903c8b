"""What the sections of a document say, in the form that queries ask for.

A result is read as plain data and in part: one of another version, with other fields, leaves
empty what it does not say.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from imagesystem.events import Exif, Place

from metadata_service.colours import lab
from metadata_service.documents import Counted, Document, Location, Scored, Shade, Words
from metadata_service.search.words import folded

__all__ = ["camera", "faces", "labels", "lens", "location", "objects", "palette", "taken", "words"]

#: Labels less sure than this are not found by their word.
SURE = 0.3


def taken(exif: Exif | None) -> datetime | None:
    """Return when the camera says it was taken; without a zone, as if it were UTC."""
    if exif is None or exif.taken_at is None:
        return None
    try:
        moment = datetime.fromisoformat(exif.taken_at)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def camera(exif: Exif | None) -> str | None:
    """Return make and model in one, the make once."""
    if exif is None:
        return None
    make, model = (" ".join((part or "").split()) for part in (exif.make, exif.model))
    if model.lower().startswith(make.lower()):
        return model or None
    return f"{make} {model}".strip()


def lens(exif: Exif | None) -> str | None:
    """Return the lens as the camera names it."""
    return " ".join(exif.lens.split()) or None if exif and exif.lens else None


def location(set_by_people: Place | None, exif: Exif | None) -> Location | None:
    """Return where it was taken, if that is on the earth: as people say, else as the camera did."""
    place = set_by_people or (exif.gps if exif else None)
    if place is None:
        return None
    longitude, latitude = place.longitude, place.latitude
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):  # also not a number
        return None
    return Location(coordinates=[longitude, latitude])


def palette(document: Document) -> list[Shade]:
    """Return the dominant colours in CIELAB, strongest first."""
    return [
        Shade(hex=colour["hex"], share=colour["share"], l=seen.l, a=seen.a, b=seen.b)
        for colour in _items(document, "analysis", "colours")
        if (seen := lab(colour["hex"]))
    ]


def labels(document: Document) -> list[Scored]:
    """Return each label once, surest first."""
    best: dict[str, float] = {}
    for label in _items(document, "labels", "labels"):
        score = label["confidence"]
        if math.isfinite(score):
            best[label["name"]] = max(score, best.get(label["name"], 0.0))
    ranked = sorted(best.items(), key=lambda each: (-each[1], each[0]))
    return [Scored(name=name, score=score) for name, score in ranked]


def objects(document: Document) -> list[Counted]:
    """Return the classes of things and how many there are of each, most first."""
    found = Counter(thing["label"] for thing in _items(document, "objects", "objects"))
    ranked = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    return [Counted(name=name, count=count) for name, count in ranked]


def faces(document: Document) -> int | None:
    """Return how many faces there are; None when nobody has looked."""
    if _result(document, "faces") is None:
        return None
    return sum(1 for _ in _items(document, "faces", "faces"))


def words(document: Document) -> Words:
    """Return the words that a text search looks through."""
    upload = document.uploaded
    text = (_result(document, "text") or {}).get("text", "")
    return Words(
        filename=folded(upload.filename if upload else ""),
        caption=folded(document.caption or ""),
        tags=[each for tag in document.tags if (each := folded(tag))],
        labels=[
            each
            for label in document.labels
            if label.score >= SURE and (each := folded(label.name))
        ],
        text=folded(text),
    )


def _result(document: Document, task: str) -> Mapping[str, Any] | None:
    answer = document.inferred.get(task)
    return answer.result if answer is not None and isinstance(answer.result, dict) else None


def _items(document: Document, task: str, field: str) -> Iterator[Mapping[str, Any]]:
    yield from (_result(document, task) or {}).get(field, ())
