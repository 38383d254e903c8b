"""A circuit breaker per task: what fails again and again is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Breaker", "Breakers"]

#: Failures in a row, none of them the picture's own fault, after which a model is left alone.
FAILURES = 5
#: Seconds until it is tried again, doubled each time it fails again.
FIRST_S, LONGEST_S = 15.0, 300.0


class Breaker:
    """Whether a task may be tried; `clock` in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._last = ""
        self._again_at = 0.0

    def allows(self) -> bool:
        """Whether it may be tried now; while it is open, one may try each time the wait is over."""
        if self._failures < FAILURES:
            return True
        if self._clock() < self._again_at:
            return False
        self._again_at = self._clock() + self._wait_s()
        return True

    def succeeded(self) -> None:
        """Take note of an answer."""
        self._failures = 0

    def failed(self, why: str) -> None:
        """Take note of a failure that was not the picture's fault."""
        self._failures += 1
        self._last = why
        if self._failures >= FAILURES:
            self._again_at = self._clock() + self._wait_s()

    def trouble(self) -> str | None:
        """None while it is closed, else one line that says what is wrong."""
        if self._failures < FAILURES:
            return None
        return f"left alone after {self._failures} failures in a row, the last: {self._last}"

    def _wait_s(self) -> float:
        return min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures - FAILURES, 16))


class Breakers:
    """One breaker for each of `tasks`."""

    def __init__(self, tasks: tuple[str, ...], clock: Callable[[], float]) -> None:
        self._of = {task: Breaker(clock) for task in tasks}

    def __getitem__(self, task: str) -> Breaker:
        return self._of[task]
