"""A circuit breaker per task: what fails picture after picture is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Breaker", "Breakers"]

#: Pictures in a row, different ones, that a model fails on before it is left alone.
FAILURES = 5
#: Seconds until it is tried again, doubled each time it fails again.
FIRST_S, LONGEST_S = 15.0, 300.0


class Breaker:
    """Whether a task may be tried; `clock` in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pictures: set[str] = set()
        self._trials = 0
        self._last = ""
        self._again_at = 0.0

    def allows(self) -> bool:
        """Whether it may be tried now; while it is open, one may try each time the wait is over."""
        if not self._open:
            return True
        if self._clock() < self._again_at:
            return False
        self._again_at = self._clock() + self._wait_s()
        return True

    def succeeded(self) -> None:
        """Take note of an answer."""
        self._pictures.clear()
        self._trials = 0

    def failed(self, picture: str, why: str) -> None:
        """Take note of a failure; one picture counts once, however often it is tried."""
        was_open = self._open
        self._pictures.add(picture)
        self._last = why
        if self._open:
            self._trials += was_open
            self._again_at = self._clock() + self._wait_s()

    def trouble(self) -> str | None:
        """None while it is closed, else one line that says what is wrong."""
        if not self._open:
            return None
        return f"left alone: it failed on {len(self._pictures)} pictures in a row ({self._last})"

    @property
    def _open(self) -> bool:
        return len(self._pictures) >= FAILURES

    def _wait_s(self) -> float:
        return min(LONGEST_S, FIRST_S * 2.0 ** min(self._trials, 16))


class Breakers:
    """One breaker for each of `tasks`."""

    def __init__(self, tasks: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._of = {task: Breaker(clock) for task in tasks}

    def __getitem__(self, task: str) -> Breaker:
        return self._of[task]
