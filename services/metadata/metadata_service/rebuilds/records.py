"""Rebuilds of the read model: what one is, how far it has come, and where that is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import msgspec

from metadata_service.store import Edition

__all__ = [
    "ENDED",
    "Difference",
    "Editions",
    "Fingerprint",
    "Phase",
    "Reason",
    "Rebuild",
]

#: In this order; the last three are ends.
Phase: TypeAlias = Literal[
    "waiting",
    "loading",
    "indexing",
    "comparing",
    "swapping",
    "settling",
    "done",
    "refused",
    "failed",
]
ENDED: frozenset[Phase] = frozenset({"done", "refused", "failed"})
Reason: TypeAlias = Literal["asked", "documents_lost"]


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """How many documents there are, and the digest over the state of all of them."""

    documents: int
    digest: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An image whose document the rebuild changes.

    `only_before`: the log knows nothing of it; `only_after`: it was missing; `state`: both have
    it and say something else.
    """

    image_id: str
    kind: Literal["only_before", "only_after", "state"]


class Rebuild(msgspec.Struct, frozen=True, kw_only=True):
    """One rebuild.

    `position`: the log is applied up to this sequence; `facts`: read so far, `pending`: in the
    log behind them; `unread`: facts that the contract cannot read, which are left out;
    `before`, `after`: fingerprints of the documents it replaces and of its own; `differences`:
    the first of `differing` images; `attempts`: how often a process began or continued it.
    """

    rebuild_id: str
    reason: Reason
    accept_loss: bool = False
    phase: Phase = "waiting"
    requested_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    load_seconds: float = 0.0
    first_version: int
    position: int = 0
    facts: int = 0
    pending: int = 0
    unread: int = 0
    before: Fingerprint | None = None
    after: Fingerprint | None = None
    differing: int = 0
    differences: list[Difference] = []
    attempts: int = 0
    error: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will be done about it."""
        return self.phase in ENDED


class Editions(Protocol):
    """The documents that are served, one edition being made beside them, and the records.

    Every call raises `Unavailable("mongodb")` when it is down.
    """

    async def whole(self) -> bool:
        """Whether the documents that are served were ever complete, and not lost since."""
        ...

    async def mark_whole(self) -> None:
        """Note in the documents that are served that they are complete."""
        ...

    async def beside(self, rebuild: Rebuild) -> Edition | None:
        """Return the edition that a rebuild makes, which nobody is served from yet.

        It is made at position 0; None: it was begun, and is gone.
        """
        ...

    def served(self) -> Edition:
        """Return the edition that is served."""
        ...

    async def serve(self, rebuild: Rebuild) -> bool:
        """Put the edition in the place of what is served, at once for everybody.

        Returns whether it is served now; false: the edition is gone. Idempotent.
        """
        ...

    async def drop(self, *, but: str | None = None) -> None:
        """Remove the editions that are not served, but that of one rebuild."""
        ...

    async def begin(self, rebuild: Rebuild) -> Rebuild:
        """Write the rebuild down, unless one is under way: returns the one that is."""
        ...

    async def claim(self, holder: str, lease_s: float) -> Rebuild | None:
        """Take the rebuild under way, if nobody holds it (any more); counts the attempt."""
        ...

    async def renew(self, holder: str, lease_s: float) -> bool:
        """Keep it for so much longer; false: somebody else has it."""
        ...

    async def save(self, rebuild: Rebuild, holder: str) -> bool:
        """Write down how far it has come, durably; false: somebody else has it.

        What was written to its edition before is then durable as well. A rebuild that ended
        makes room for the next one.
        """
        ...

    async def find(self, rebuild_id: str) -> Rebuild | None:
        """Return a rebuild, one of the last twenty."""
        ...

    async def latest(self) -> list[Rebuild]:
        """Return the last rebuilds, newest first, at most twenty."""
        ...
