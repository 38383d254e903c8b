"""The counts of statistics in MongoDB's language."""

from __future__ import annotations

from typing import Any

from metadata_service.queries import Row
from metadata_service.stats import GROWTH_DAYS, Day, Space, Stage, Survey

__all__ = ["STAGES", "survey"]

_TASKS = {
    "planned": {"$ifNull": ["$planned.tasks", []]},
    "answered": {"$map": {"input": {"$objectToArray": "$inferred"}, "in": "$$this.k"}},
    "failures": {"$map": {"input": {"$objectToArray": "$failed"}, "in": "$$this.k"}},
}


def _counted(tasks: Any) -> list[Row]:
    return [
        {"$project": {"task": tasks}},
        {"$unwind": "$task"},
        {"$group": {"_id": "$task", "count": {"$sum": 1}}},
    ]


_SPACE = {
    "model": "$inferred.embedding.model",
    "model_version": "$inferred.embedding.model_version",
    "dimensions": "$inferred.embedding.result.dimensions",
}
#: One walk over what exists: all counts at once, in memory that does not grow with it.
STAGES: list[Row] = [
    {"$match": {"uploaded.sha256": {"$exists": True}}},
    {
        "$project": {
            "_id": 0,
            **_TASKS,
            "bytes": "$uploaded.size_bytes",
            "day": {"$dateToString": {"date": "$uploaded.uploaded_at", "format": "%Y-%m-%d"}},
            "variants": "$variant_count",
            "space": {"$cond": [{"$gt": ["$inferred.embedding.result", None]}, _SPACE, None]},
        }
    },
    {
        "$facet": {
            "totals": [
                {
                    "$group": {
                        "_id": None,
                        "images": {"$sum": 1},
                        "bytes": {"$sum": "$bytes"},
                        "variants": {"$sum": "$variants"},
                    }
                }
            ],
            "growth": [
                {
                    "$group": {
                        "_id": "$day",
                        "images": {"$sum": 1},
                        "bytes": {"$sum": "$bytes"},
                    }
                },
                {"$sort": {"_id": -1}},
                {"$limit": GROWTH_DAYS},
            ],
            "answered": _counted("$answered"),
            "failures": _counted("$failures"),
            "backlog": _counted(
                {
                    "$setDifference": [
                        "$planned",
                        {"$setUnion": ["$answered", "$failures"]},
                    ]
                }
            ),
            "embeddings": [
                {"$match": {"space": {"$ne": None}}},
                {"$group": {"_id": "$space", "images": {"$sum": 1}}},
                {"$sort": {"_id": 1}},
            ],
        }
    },
]


def survey(found: Row) -> Survey:
    """Return what came of `STAGES`."""
    totals: Row = found["totals"][0] if found["totals"] else {}
    stages: dict[str, dict[str, int]] = {}
    for name in ("answered", "failures", "backlog"):
        for each in found[name]:
            stages.setdefault(each["_id"], {})[name] = each["count"]
    return Survey(
        images=totals.get("images", 0),
        bytes=totals.get("bytes", 0),
        variants=totals.get("variants", 0),
        stages={name: Stage(**counts) for name, counts in sorted(stages.items())},
        growth=[
            Day(day=each["_id"], images=each["images"], bytes=each["bytes"])
            for each in found["growth"]
        ],
        embeddings=[Space(**each["_id"], images=each["images"]) for each in found["embeddings"]],
    )
