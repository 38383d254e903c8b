"""Who has been here before asks whether it changed, or for the rest: of a hot URL, answered so.

What the routes answered is remembered whole (`hot`); a 304, a range and a HEAD follow from that
without asking them. What goes wrong is theirs to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from imagesystem.errors import Rejected
from imagesystem.web import Ready

from image_service.answers import VALIDATORS, fields_of
from image_service.conditions import decide, requested_range
from image_service.hot import PARTICULAR, HotAnswers

__all__ = ["Revisits"]

#: Where an answer differs by more than which bytes of it are sent.
_OTHERS = frozenset({b"origin"})


class Revisits:
    """What hot URLs answer to a plain GET, also in part: a shortcut of `web.create_app`."""

    def __init__(self, whole: HotAnswers) -> None:
        self._whole = whole

    def __call__(self, scope: Any) -> Ready | None:
        """Return the answer to a request, None where the routes are to be asked."""
        ready = self._whole(scope)
        if ready is not None or scope["method"] not in ("GET", "HEAD"):
            return ready
        plain: list[tuple[bytes, bytes]] = []
        particular: list[tuple[bytes, bytes]] = []
        for field in scope["headers"]:
            if field[0] in _OTHERS:
                return None
            (particular if field[0] in PARTICULAR else plain).append(field)
        if not particular and scope["method"] == "GET":
            return None
        ready = self._whole({**scope, "method": "GET", "headers": plain})
        if ready is None:
            return None
        try:
            return _part(ready, scope["method"], fields_of(particular))
        except Rejected:
            return None


def _part(ready: Ready, method: str, fields: Mapping[str, str]) -> Ready:
    """Return what of an answer this asks for; raises `Rejected` 412, 416."""
    said = fields_of(ready.headers)
    etag, modified_at = said["etag"], _moment(said["last-modified"])
    if decide(fields, etag, modified_at) == "not_modified":
        headers = [(name, value) for name, value in ready.headers if name.decode() in VALIDATORS]
        return msgspec.structs.replace(ready, status=304, headers=headers, body=b"")
    if method == "HEAD":
        return msgspec.structs.replace(ready, body=b"")
    size = len(ready.body)
    span = requested_range(fields, size, etag, modified_at)
    if span is None:
        return ready
    start, stop = span
    headers = [(name, value) for name, value in ready.headers if name != b"content-length"]
    headers += [
        (b"content-length", b"%d" % (stop - start)),
        (b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, size)),
    ]
    return msgspec.structs.replace(ready, status=206, headers=headers, body=ready.body[start:stop])


def _moment(date: str) -> datetime:
    return parsedate_to_datetime(date).astimezone(UTC)
