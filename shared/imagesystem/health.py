"""Health: alive (or restart me), ready (or send nobody here), and why not."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from typing import TypeAlias

import msgspec

from imagesystem.errors import ImageSystemError

__all__ = ["Check", "Health", "Pauses", "Report"]

#: Returns None when all is well, else one line that says what is missing.
Check: TypeAlias = Callable[[], str | Awaitable[str | None] | None]
#: Returns until when consumers are paused, by name.
Pauses: TypeAlias = Callable[[], Awaitable[dict[str, datetime]]]
#: Seconds to ask for pauses: without NATS there is no answer, and readiness says why elsewhere.
PAUSES_S = 1.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one service; `checks` has a line for each thing that is missing, or null.

    `paused`: until when the work of a consumer is held back, because somebody wants that; it is
    no fault, and has no say in `status`.
    """

    service: str
    version: str
    status: str
    uptime_s: float
    checks: dict[str, str | None]
    paused: dict[str, datetime] = {}


class Health:
    """What a service depends on, and whether it is there."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.version = version(f"{service}-service")
        self._checks: dict[str, Check] = {}
        self._fatal: dict[str, Check] = {}
        self._minor: dict[str, Check] = {}
        self._pauses: Pauses | None = None
        self._started = time.monotonic()
        self.stopping = False

    def watch(self, name: str, check: Check, *, fatal: bool = False, vital: bool = True) -> None:
        """Ask `check` for readiness; with `fatal`, its failure means "restart me".

        What is not `vital` is reported, and the service stays ready: the rest of it works.
        """
        kind = self._fatal if fatal else self._checks if vital else self._minor
        kind[name] = check

    def mention(self, pauses: Pauses) -> None:
        """Name in readiness what `pauses` says is paused."""
        self._pauses = pauses

    async def live(self) -> Report:
        """Report only what a restart would mend."""
        return await self._report(self._fatal, "live", "dead")

    async def ready(self) -> Report:
        """Report everything the service needs to do its work."""
        report = await self._report(self._fatal | self._checks, "ready", "not ready")
        checks = report.checks | await self._results(self._minor)
        report = msgspec.structs.replace(report, checks=checks)
        if self._pauses is None:
            return report
        paused: dict[str, datetime] = {}
        with suppress(ImageSystemError, TimeoutError):
            async with asyncio.timeout(PAUSES_S):
                paused = await self._pauses()
        return msgspec.structs.replace(report, paused=paused)

    async def _report(self, checks: dict[str, Check], good: str, bad: str) -> Report:
        results: dict[str, str | None] = {"stopping": "shutting down"} if self.stopping else {}
        results |= await self._results(checks)
        return Report(
            service=self.service,
            version=self.version,
            status=bad if any(results.values()) else good,
            uptime_s=round(time.monotonic() - self._started, 3),
            checks=results,
        )

    @staticmethod
    async def _results(checks: dict[str, Check]) -> dict[str, str | None]:
        results: dict[str, str | None] = {}
        for name, check in checks.items():
            result = check()
            results[name] = await result if inspect.isawaitable(result) else result
        return results
