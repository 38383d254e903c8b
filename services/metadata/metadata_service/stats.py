"""Statistics over all pictures: what there is, how far the analysis is, how it grows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from metadata_service.queries import Row
from metadata_service.search.facets import Counts, Facet, Value

__all__ = ["GROWTH_DAYS", "TOP", "Day", "Space", "Stage", "Stats", "Survey", "surveyed", "told"]

#: What is counted over all pictures like a facet.
TOP: tuple[Facet, ...] = (
    Facet(name="format", path="uploaded.media_type"),
    Facet(name="kind", path="kind"),
    Facet(name="status", path="status"),
    Facet(name="label", path="labels.name", many=True),
    Facet(name="camera", path="camera"),
    Facet(name="colour", path="colours", many=True),
)
#: Days of growth that are told, the latest ones on which something was uploaded.
GROWTH_DAYS = 30


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A task of inference: `backlog` is planned and neither answered nor given up."""

    backlog: int = 0
    answered: int = 0
    failures: int = 0


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What was uploaded on a day (UTC)."""

    day: str
    images: int
    bytes: int


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """The embeddings of one model and version: only those can be compared."""

    model: str
    model_version: str
    dimensions: int
    images: int


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What a store counts in one go."""

    images: int
    bytes: int
    variants: int
    stages: dict[str, Stage]
    growth: list[Day]
    embeddings: list[Space]


class Stats(Survey, frozen=True, kw_only=True):
    """The counts, and the most frequent values of some fields (among `COUNT_MAX` pictures)."""

    top: dict[str, list[Value]]
    counted: int
    counted_at: datetime


def told(survey: Survey, top: Counts, counted_at: datetime) -> Stats:
    """Return the statistics as they are answered."""
    return Stats(
        **msgspec.structs.asdict(survey),
        top=top.values,
        counted=top.counted,
        counted_at=counted_at,
    )


def surveyed(rows: Iterable[Row]) -> Survey:
    """Return the counts of documents as plain data."""
    images = total = variants = 0
    stages: dict[str, Counter[str]] = {}
    days: dict[str, list[int]] = {}
    spaces: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        upload = row["uploaded"]
        if upload is None:
            continue
        images, total = images + 1, total + upload["size_bytes"]
        variants += row["variant_count"]
        day = days.setdefault(upload["uploaded_at"].strftime("%Y-%m-%d"), [0, 0])
        day[0], day[1] = day[0] + 1, day[1] + upload["size_bytes"]
        answered, failed = row["inferred"], row["failed"]
        planned = (row["planned"] or {}).get("tasks", ())
        for name in {*planned, *answered, *failed}:
            counts = stages.setdefault(name, Counter())
            counts["answered"] += name in answered
            counts["failures"] += name in failed
            counts["backlog"] += name in planned and name not in answered and name not in failed
        embedding = answered.get("embedding")
        if embedding and embedding["result"]:
            space = (embedding["model"], embedding["model_version"])
            spaces[*space, embedding["result"]["dimensions"]] += 1
    return Survey(
        images=images,
        bytes=total,
        variants=variants,
        stages={name: Stage(**counts) for name, counts in sorted(stages.items())},
        growth=[
            Day(day=day, images=count, bytes=size)
            for day, (count, size) in sorted(days.items(), reverse=True)[:GROWTH_DAYS]
        ],
        embeddings=[
            Space(model=model, model_version=version, dimensions=dimensions, images=count)
            for (model, version, dimensions), count in sorted(spaces.items())
        ],
    )
