"""The indexes of the collection of documents, declared here and nowhere else.

All but that of words end in upload time and id: a page of any filter comes in order from one index,
never sorted in memory. `trait` finds what has no index of its own (`metadata_service.traits`);
filters without either (sizes, parts of the filename) are tested while walking `newest`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from metadata_service.search.words import WEIGHTS

__all__ = ["INDEXES", "Index"]

BY_TIME = (("uploaded.uploaded_at", -1), ("_id", -1))


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """An index: fields with 1 (ascending), -1 (descending) or "text" (with `weights`)."""

    name: str
    keys: tuple[tuple[str, int | str], ...]
    weights: dict[str, float] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What MongoDB is told besides the keys."""
        if self.weights is None:
            return {"name": self.name}
        # Words are compared as they are: no stemming, no stop words, whatever the language.
        language = {"default_language": "none", "language_override": "no_language"}
        return {"name": self.name, "weights": self.weights, **language}


INDEXES: tuple[Index, ...] = (
    Index(name="newest", keys=BY_TIME),
    *(
        Index(name=f"{name}_newest", keys=((field, 1), *BY_TIME))
        for name, field in (
            ("owner", "owner"),
            ("tag", "tags"),
            ("status", "status"),
            ("media_type", "uploaded.media_type"),
            ("kind", "kind"),
            ("colour", "colours"),
            ("camera", "camera"),
            ("trait", "traits"),
        )
    ),
    Index(name="moment", keys=(("moment", -1), ("_id", -1))),
    Index(name="size", keys=(("uploaded.size_bytes", -1), ("_id", -1))),
    Index(
        name="words",
        keys=tuple((f"words.{field}", "text") for field in WEIGHTS),
        weights={f"words.{field}": weight for field, weight in WEIGHTS.items()},
    ),
)
