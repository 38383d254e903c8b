"""Times as people write them: a year, a month, a day, or to the moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

__all__ = ["beginning", "span"]

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


def beginning(text: str) -> datetime:
    """Return when a year, a month or a day begins, or the moment itself (RFC 3339).

    UTC unless a zone is given; raises ValueError.
    """
    if _PARTIAL.fullmatch(text):
        return span(text)[0]
    moment = msgspec.convert(text, datetime, strict=False)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def span(text: str) -> tuple[datetime, datetime]:
    """Return when the year, month, day or millisecond begins, and when the next one does.

    UTC unless a zone is given; raises ValueError.
    """
    found = _PARTIAL.fullmatch(text)
    try:
        if found is None:
            moment = datetime.fromisoformat(text)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
            return moment, moment + timedelta(milliseconds=1)
        year, month, day = (int(part) if part else None for part in found.groups())
        begin = datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
        if day is not None:
            return begin, begin + timedelta(days=1)
        if month is not None and month < 12:
            return begin, begin.replace(month=month + 1)
        return begin, begin.replace(year=begin.year + 1, month=1)
    except OverflowError as error:
        raise ValueError(str(error)) from error
