"""ETags of documents: `"<sequence of the annotations>.<digest of the answer>"`.

If-None-Match compares the whole. If-Match compares the first part alone: it guards what people
edit, and an analysis that arrives meanwhile is no reason to refuse an edit.
"""

from __future__ import annotations

import hashlib
import re

from imagesystem.errors import Rejected

__all__ = ["Precondition", "etag", "matches"]

_TAG = re.compile(r'\s*(?:W/)?"([\x21\x23-\x7e]*)"\s*')


def etag(annotated: int, body: bytes) -> str:
    """Return the ETag of an answer; `annotated`: 0 when nobody has edited the image yet."""
    digest = hashlib.blake2b(body, digest_size=8).hexdigest()
    return f'"{annotated}.{digest}"'


def matches(if_none_match: str | None, current: str) -> bool:
    """Say whether If-None-Match names the current ETag (weak comparison, RFC 9110)."""
    if if_none_match is None:
        return False
    tags = _TAG.findall(if_none_match)
    return if_none_match.strip() == "*" or current.strip('"') in tags


class Precondition:
    """What If-Match asks for: the annotations are still those that the client has seen."""

    def __init__(self, if_match: str | None) -> None:
        """Raise `Rejected` 400 `malformed_if_match` for what is not a list of ETags."""
        self._sequences: frozenset[int] | None = None
        if if_match is None or if_match.strip() == "*":
            return
        parts = if_match.split(",")
        found = [_TAG.fullmatch(part) for part in parts]
        if not all(found):
            raise Rejected(
                400, "malformed_if_match", f"If-Match: {if_match[:100]!r} is not a list of ETags"
            )
        heads = [match[1].partition(".")[0] for match in found if match]
        self._sequences = frozenset(
            int(head) for head in heads if head.isdecimal() and len(head) < 20
        )

    @property
    def given(self) -> bool:
        """Whether the client insists on a state."""
        return self._sequences is not None

    def check(self, annotated: int) -> None:
        """Raise `Rejected` 412 `precondition_failed` if the annotations have moved on."""
        if self._sequences is not None and annotated not in self._sequences:
            raise Rejected(
                412,
                "precondition_failed",
                "somebody else has edited it since; read it again",
            )
