"""Questions: asked of whoever is there, answered at once, and kept by nobody."""

from __future__ import annotations

import msgspec

from imagesystem.events.results import Embedding

__all__ = ["Embed", "Embedded", "Refused"]


class Embed(msgspec.Struct, frozen=True, kw_only=True):
    """Where does a text, or a picture, lie in the space of the model that embeds pictures now?

    `text`: what is meant; or `picture`: the name of an object in the bucket `examples`. After
    `patience_s` seconds nobody waits for the answer any more.
    """

    patience_s: float
    text: str | None = None
    picture: str | None = None

    @property
    def exchange(self) -> str:
        """Which of `imagesystem.topology.EXCHANGES` it is asked in."""
        return "embed"


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `Embed`: the vector, and the model and version that made it."""

    model: str
    model_version: str
    result: Embedding


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer, as an HTTP problem says it; `status` 503: it may be asked again."""

    status: int
    code: str
    message: str
    limit: str | None = None
    allowed: int | str | None = None
    actual: int | str | None = None
