"""Conditional and range requests (RFC 9110, sections 13 and 14), decided without I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Literal, TypeAlias

from imagesystem.errors import Rejected

__all__ = ["Verdict", "decide", "http_date", "requested_range"]

Verdict: TypeAlias = Literal["send", "not_modified"]

_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
#: One byte range: "first-last", "first-" or "-suffix". 19 digits hold any size there is.
_RANGE = re.compile(r"(\d{0,19})-(\d{0,19})", re.ASCII)


def http_date(moment: datetime) -> str:
    """Return the time as HTTP writes it (IMF-fixdate, whole seconds)."""
    return format_datetime(moment.astimezone(UTC).replace(microsecond=0), usegmt=True)


def decide(headers: Mapping[str, str], etag: str, modified_at: datetime) -> Verdict:
    """Decide what GET or HEAD answers, in the order of RFC 9110 section 13.2.2.

    `headers` by lower-case name, `etag` strong and quoted. Raises `Rejected` 412.
    """
    if_match = headers.get("if-match")
    if if_match is not None:
        if not _listed(if_match, etag, weak=False):
            raise _failed("If-Match")
    elif _after(modified_at, headers.get("if-unmodified-since")) is True:
        raise _failed("If-Unmodified-Since")
    if_none_match = headers.get("if-none-match")
    if if_none_match is not None:
        return "not_modified" if _listed(if_none_match, etag, weak=True) else "send"
    if _after(modified_at, headers.get("if-modified-since")) is False:
        return "not_modified"
    return "send"


def _failed(header: str) -> Rejected:
    return Rejected(412, "precondition_failed", f"{header} does not hold")


def _listed(value: str, etag: str, *, weak: bool) -> bool:
    """Whether `*` or a list of entity tags has this one (weak or strong comparison)."""
    if value.strip() == "*":
        return True
    tags = _ENTITY_TAG.findall(value)
    return any((tag.removeprefix("W/") if weak else tag) == etag for tag in tags)


def _after(modified_at: datetime, date: str | None) -> bool | None:
    """Whether it was modified after an HTTP date; None when there is none that can be read."""
    parsed = _parsed_date(date)
    return None if parsed is None else modified_at.replace(microsecond=0) > parsed


def _parsed_date(date: str | None) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(date or "")
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    # A date without a zone ("-0000") is naive; HTTP dates are always GMT.
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed


def requested_range(
    headers: Mapping[str, str], size: int, etag: str, modified_at: datetime
) -> tuple[int, int] | None:
    """Return the bytes a GET asks for, first and past the last, or None for all of them.

    Raises `Rejected` 416: `malformed_range`, `multiple_ranges` (one range is served at a time)
    or `range_not_satisfiable`. A unit other than bytes is ignored, as is a range whose
    `If-Range` does not hold.
    """
    value = headers.get("range")
    if value is None:
        return None
    unit, separator, ranges = value.partition("=")
    if separator and unit.strip().lower() != "bytes":
        return None
    if not _still_valid(headers.get("if-range"), etag, modified_at):
        return None
    if not separator:
        raise _unserved("malformed_range", f"{value[:64]!r} is not a range", size)
    if "," in ranges:
        raise _unserved("multiple_ranges", "one range is served at a time", size)
    match = _RANGE.fullmatch(ranges.strip())
    if match is None or match[0] == "-":
        raise _unserved("malformed_range", f"{value[:64]!r} is not a range of bytes", size)
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is None:
        suffix = last or 0
        start, stop = max(0, size - suffix), size
        satisfiable = suffix > 0 and size > 0
    else:
        if last is not None and last < first:
            raise _unserved("malformed_range", f"{value[:64]!r} ends before it begins", size)
        start, stop = first, size if last is None else min(last + 1, size)
        satisfiable = first < size
    if not satisfiable:
        raise _unserved("range_not_satisfiable", f"there are {size} bytes", size)
    return start, stop


def _still_valid(if_range: str | None, etag: str, modified_at: datetime) -> bool:
    """Whether If-Range names what there is: strong comparison, or exactly its date."""
    if if_range is None:
        return True
    if if_range.strip().startswith(('"', "W/")):
        return if_range.strip() == etag
    parsed = _parsed_date(if_range)
    if parsed is None or parsed != modified_at.replace(microsecond=0):
        return False
    # A date is a strong validator only if nothing else can have happened in its second.
    return datetime.now(UTC) - modified_at > timedelta(seconds=1)


def _unserved(code: str, message: str, size: int) -> Rejected:
    return Rejected(416, code, message, headers={"content-range": f"bytes */{size}"})
