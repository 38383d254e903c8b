"""Which facts somebody wants: by type, by image, by owner.

A type is the kind of the fact (`uploaded`), for `inferred` and `failed` with the task or stage if
only that one is wanted (`inferred.text`). The spellings of CloudEvents (`images.v1.uploaded`) and
of subjects (`images.v1.*.inferred.>`) are understood as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
from imagesystem.errors import Rejected
from imagesystem.events import FACTS, INFERRED

__all__ = ["KINDS", "Selection", "parse_type", "parse_types"]

#: What may stand before the first dot, and after it (None: nothing may).
KINDS: dict[str, re.Pattern[str] | None] = {
    **dict.fromkeys(FACTS),
    "inferred": re.compile("|".join(map(re.escape, INFERRED))),
    "failed": re.compile(r"[A-Za-z0-9_-]{1,64}"),
}
_PREFIX = re.compile(r"^images\.v1\.(\*\.)?")
MAX_TYPES = 50


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that somebody wants; what is None (or empty) does not matter."""

    types: frozenset[str] = frozenset()
    image_id: str | None = None
    owner: str | None = None

    def wants(self, subject: str) -> bool:
        """Return whether a fact on `subject` is wanted, whoever owns the image."""
        _, _, image_id, kind, *key = subject.split(".")
        if self.image_id is not None and image_id != self.image_id:
            return False
        return not self.types or kind in self.types or ".".join((kind, *key)) in self.types

    @property
    def pattern(self) -> str:
        """The narrowest pattern of subjects that has everything wanted."""
        image = self.image_id or "*"
        if len(self.types) != 1:
            return f"images.v1.{image}.>" if self.image_id else "images.v1.>"
        (only,) = self.types
        keyed = only in ("inferred", "augmented", "collected", "grouped", "failed")
        return f"images.v1.{image}.{only}.*" if keyed else f"images.v1.{image}.{only}"


def parse_types(text: str) -> frozenset[str]:
    """Return the types in a list separated by commas; raises `Rejected` 400."""
    return types_of(part.strip() for part in text.split(","))


def types_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the types that these texts name; raises `Rejected` 400 `unknown_type`."""
    given = list(texts)
    if len(given) > MAX_TYPES:
        raise Rejected(
            400,
            "limit_exceeded",
            f"{len(given)} types are too many",
            limit="types",
            allowed=MAX_TYPES,
            actual=len(given),
        )
    types = {parse_type(text) for text in given}
    return frozenset() if "" in types else frozenset(types)


def parse_type(text: str) -> str:
    """Return the type in its short spelling, "" for all; raises `Rejected` 400 `unknown_type`."""
    short = _PREFIX.sub("", text)
    if short == ">" and short != text:
        return ""
    short = re.sub(r"\.[>*]$", "", short)
    kind, dot, key = short.partition(".")
    allowed = KINDS.get(kind)
    if kind in KINDS and (not dot or (allowed is not None and allowed.fullmatch(key))):
        return short
    raise Rejected(400, "unknown_type", f"there is no type {text[:100]!r}; there are: {_known()}")


def _known() -> str:
    tasks = (f"inferred.{task}" for task in INFERRED)
    return ", ".join([*sorted(KINDS), *tasks, "failed.<stage>"])
