"""The indexes of the collection of documents, declared here and nowhere else.

Every one ends in upload time and id: a page of any filter comes in order from one index, never
sorted in memory. Filters without an index of their own (sizes, orientation, parts of the
filename) are tested while walking `newest`.
"""

from __future__ import annotations

import msgspec

__all__ = ["INDEXES", "Index"]

BY_TIME = (("uploaded.uploaded_at", -1), ("_id", -1))


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """An index: fields with 1 (ascending) or -1 (descending)."""

    name: str
    keys: tuple[tuple[str, int], ...]


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
        )
    ),
)
