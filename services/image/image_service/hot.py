"""URLs that are asked for again and again: their answers, ready to be sent.

An answer is only ever one that was given before to the same request, while nothing has been said
of the images in it since and its bytes are still in memory. Everything else is for the routes:
conditions, ranges, other methods, what rests on facts, what expires.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
from imagesystem.events import Uploaded
from imagesystem.web import Ready

from image_service.known import Known
from image_service.measures import Measures
from image_service.shelf import Shelf

__all__ = ["HotAnswers"]

#: Path and query as they were sent, and `Accept`.
Key: TypeAlias = tuple[bytes, bytes, bytes]

#: A request with one of these wants something else than all of the answer.
PARTICULAR = frozenset(
    {
        b"range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
        b"origin",
    }
)


class _Answer(msgspec.Struct, frozen=True):
    """Headers, the name of the bytes on the shelf, and the facts that it was given by."""

    headers: list[tuple[bytes, bytes]]
    name: str
    facts: tuple[Uploaded, ...]
    route: str
    rendition: bool


class HotAnswers:
    """What was answered lately; `web.create_app` takes it as a shortcut."""

    MOST = 4096
    #: The longest path and query that are remembered, in bytes.
    LENGTH = 1024

    def __init__(self, known: Known, shelf: Shelf, measures: Measures) -> None:
        self.known = known
        self.shelf = shelf
        self._hits = measures.renditions.labels("hit")
        self._answers: OrderedDict[Key, _Answer] = OrderedDict()

    def keep(
        self,
        scope: Any,
        headers: Mapping[str, str],
        name: str,
        image_ids: Iterable[str],
        *,
        rendition: bool = True,
    ) -> None:
        """Remember the answer to a request; `name`: of its bytes on the shelf.

        `rendition`: it counts as one that was in the cache (an original is none).
        """
        key = _key(scope)
        facts = [self.known.get(image_id) for image_id in image_ids]
        found = tuple(fact for fact in facts if fact is not None)
        if key is None or len(key[0]) + len(key[1]) > self.LENGTH or len(found) < len(facts):
            return
        raw = [(field.encode("latin-1"), text.encode("latin-1")) for field, text in headers.items()]
        route = scope.get("path_template") or ""
        self._answers[key] = _Answer(raw, name, found, route, rendition)
        self._answers.move_to_end(key)
        if len(self._answers) > self.MOST:
            self._answers.popitem(last=False)

    def __call__(self, scope: Any) -> Ready | None:
        """Return the answer to a request, None where the routes are to be asked."""
        key = _key(scope)
        answer = None if key is None else self._answers.get(key)
        if key is None or answer is None:
            return None
        data = self.shelf.get(answer.name)
        if data is None or not all(self.known.get(fact.image_id) is fact for fact in answer.facts):
            del self._answers[key]
            return None
        self._answers.move_to_end(key)
        if answer.rendition:
            self._hits.inc()
        return Ready(status=200, headers=answer.headers, body=data, route=answer.route)


def _key(scope: Any) -> Key | None:
    if scope["method"] != "GET":
        return None
    accept = b""
    for name, value in scope["headers"]:
        if name in PARTICULAR:
            return None
        if name == b"accept":
            accept = value
    return scope.get("raw_path") or scope["path"].encode(), scope["query_string"], accept
