"""A brake against bad deploys: when most of what comes fails for good, stop before all of it did.

A version that cannot handle what it hears would turn a whole queue into dead letters. Past a
ratio of permanent failures in a window the consumer is paused for a while; what is left waits
in the stream, where the next version finds it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from imagesystem import ids, logs
from imagesystem.errors import ImageSystemError, Permanent, Rejected, Transient
from imagesystem.metrics import Metrics
from imagesystem.settings import ServiceSettings
from imagesystem.topology import Consumer

__all__ = ["Brake", "BrakeLimits", "Braking", "Pausing", "limits_of"]

log = logs.get(__name__)

#: The window slides in this many steps, however many messages there are in it.
STEPS = 20


class BrakeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When to brake, and for how long; see the settings `BRAKE_…` for what each means."""

    ratio: float = 0.5
    window_s: float = 300.0
    least: int = 50
    pause_s: float = 300.0


class _Step(msgspec.Struct):
    """What was settled in one step of the window: since when, how many, how many failed."""

    began: float
    settled: int = 0
    failed: int = 0


class Brake:
    """Counts what became of messages; `count` says when it is time to stop."""

    def __init__(self, limits: BrakeLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._steps: deque[_Step] = deque()

    def count(self, *, failed: bool) -> str | None:
        """Count one message that was settled; return one line when that is past the ratio.

        The window begins anew then: after the pause, the next ones are judged by themselves.
        """
        now, limits = self._clock(), self.limits
        while self._steps and self._steps[0].began <= now - limits.window_s:
            self._steps.popleft()
        if not self._steps or now - self._steps[-1].began >= limits.window_s / STEPS:
            self._steps.append(_Step(now))
        self._steps[-1].settled += 1
        self._steps[-1].failed += failed
        settled = sum(step.settled for step in self._steps)
        failures = sum(step.failed for step in self._steps)
        if not failed or settled < limits.least or failures <= limits.ratio * settled:
            return None
        self._steps.clear()
        return f"{failures} of the last {settled} messages failed for good"


class Pausing(Protocol):
    """What pauses consumers, and knows which are paused."""

    async def pause(self, consumer: Consumer, until: datetime | None) -> None:
        """Hold back what comes for `consumer` until then; None: no longer."""

    async def until(self, consumer: Consumer) -> datetime | None:
        """Return until when `consumer` is paused, None if it is not."""
        ...


class Braking:
    """The brake of one consumer at work; `line` says, for readiness, that it is on."""

    def __init__(
        self, consumer: Consumer, limits: BrakeLimits, pauses: Pausing, measures: Metrics
    ) -> None:
        self._consumer = consumer
        self._brake = Brake(limits)
        self._pauses = pauses
        self._measures = measures
        self._until: datetime | None = None
        self.line: str | None = None

    async def settled(self, verdict: Transient | Permanent | None) -> None:
        """Count a message that was handled (None) or given up; pause the consumer if need be.

        What was in hand when the brake was pulled says nothing new.
        """
        if self._until is not None and ids.now() < self._until:
            return
        why = self._brake.count(failed=verdict is not None and blames_us(verdict))
        if why is None:
            return
        self._until = until = ids.now() + timedelta(seconds=self._brake.limits.pause_s)
        name = self._consumer.name
        try:
            await self._pauses.pause(self._consumer, until)
        except ImageSystemError as error:
            self._until = None
            log.warning("brake_failed", consumer=name, why=why, error=error.message)
            return
        self.line = f"{name}: {why}: paused until {until:%Y-%m-%dT%H:%M:%SZ}"
        self._measures.brakes.labels(name).inc()
        log.error("consumer_braked", consumer=name, why=why, until=until.isoformat())

    async def look(self) -> None:
        """Let go when the pause is over: at its deadline, or because somebody ended it."""
        if self.line is None:
            return
        with suppress(ImageSystemError):  # NATS is away, which others say
            if await self._pauses.until(self._consumer) is None:
                self.line = self._until = None
                log.info("consumer_resumed", consumer=self._consumer.name)


def limits_of(settings: ServiceSettings) -> BrakeLimits:
    """Return the limits that a service's settings give its brakes."""
    return BrakeLimits(
        ratio=settings.brake_ratio,
        window_s=settings.brake_window_s,
        least=settings.brake_least,
        pause_s=settings.brake_pause_s,
    )


def blames_us(verdict: Transient | Permanent) -> bool:
    """Whether a failure may be the program's fault.

    What was rejected was judged, rightly or wrongly, as the client's: a batch of broken pictures
    must not stop the work on those of others.
    """
    return not isinstance(verdict.__cause__, Rejected)
