"""When a delivery is tried again, and when it is not any more."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

__all__ = ["Retries"]


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """Delays grow threefold from `first_s` to `longest_s`, ±20 % apart, for `give_up_s` in all.

    A webhook of which nothing arrived for `disable_s` is disabled.
    """

    first_s: float = 10.0
    longest_s: float = 4 * 3600.0
    give_up_s: float = 72 * 3600.0
    disable_s: float = 120 * 3600.0
    spread: Callable[[], float] = lambda: random.uniform(0.8, 1.2)  # noqa: S311

    def next_at(
        self, *, attempts: int, first_at: datetime, now: datetime, rest_s: float | None
    ) -> datetime | None:
        """Return when to try again after `attempts`, None: not any more.

        `rest_s`: what the endpoint asked for, which is waited for at least.
        """
        delay = min(self.first_s * 3.0 ** min(attempts - 1, 20), self.longest_s) * self.spread()
        again = now + timedelta(seconds=max(delay, rest_s or 0.0))
        return None if (again - first_at).total_seconds() > self.give_up_s else again

    def hopeless(self, failing_since: datetime | None, now: datetime) -> bool:
        """Return whether a webhook has failed for so long that it is disabled."""
        return failing_since is not None and (now - failing_since).total_seconds() > self.disable_s
