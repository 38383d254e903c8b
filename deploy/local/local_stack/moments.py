"""Times and durations as people write them: `10m`, `1h30m`, or RFC 3339."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from local_stack.errors import StackError

__all__ = ["duration", "moment", "shown"]

UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
PARTS = re.compile(r"(\d{1,9})([dhms])")
WHOLE = re.compile(rf"(?:{PARTS.pattern})+")


def duration(text: str) -> timedelta:
    """Return what `90s`, `10m`, `1h30m` or `7d` say; raises `StackError` for anything else."""
    if not WHOLE.fullmatch(text):
        raise StackError(f"{text!r} is no duration: give one as 90s, 10m, 1h30m or 7d")
    seconds = sum(int(count) * UNITS[unit] for count, unit in PARTS.findall(text))
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        raise StackError(f"{text!r} is longer than anything lasts") from error


def moment(text: str, now: datetime) -> datetime:
    """Return a time: a duration before `now`, or RFC 3339 (without a zone: UTC)."""
    if WHOLE.fullmatch(text):
        try:
            return now - duration(text)
        except OverflowError as error:
            raise StackError(f"{text!r} is before the beginning of time") from error
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise StackError(
            f"{text!r} is no time: give one as 2026-11-21T12:00:00Z, or how long ago, as 2h"
        ) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def shown(when: datetime) -> str:
    """Return a time for people, to the second, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
