"""Parsing and resolving, with what was understood lately: a hot URL costs two look-ups."""

from __future__ import annotations

from functools import lru_cache

from image_service.evidence import Evidence
from image_service.parameters.parsing import Wanted, parse
from image_service.parameters.resolving import resolve
from image_service.parameters.table import AUTO
from image_service.recipes import Recipe, Source

__all__ = ["Interpreter"]

#: What is remembered of each kind; a longer query is not (nobody asks for it twice).
REMEMBERED = 4096
MAX_LENGTH = 512


class Interpreter:
    """Does what `parse` and `resolve` do, and raises what they raise."""

    def __init__(self) -> None:
        self._parse = lru_cache(REMEMBERED)(parse)
        self._resolve = lru_cache(REMEMBERED)(resolve)

    def parse(self, query: str) -> Wanted | None:
        """Return what a query wants."""
        return self._parse(query) if len(query) <= MAX_LENGTH else parse(query)

    def resolve(
        self, wanted: Wanted, source: Source, accept: str, evidence: Evidence | None
    ) -> Recipe:
        """Return the recipe; what rests on facts is resolved each time."""
        if evidence is not None:
            return resolve(wanted, source, accept, evidence)
        negotiated = wanted.get("format") == AUTO and len(accept) <= MAX_LENGTH
        return self._resolve(wanted, source, accept if negotiated else "")
