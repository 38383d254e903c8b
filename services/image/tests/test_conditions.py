from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_service.conditions import decide, http_date, requested_range
from imagesystem.errors import Rejected

ETAG = '"abc"'
MODIFIED = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)
DATE = "Fri, 02 Jan 2026 03:04:05 GMT"
EARLIER = "Fri, 02 Jan 2026 03:04:04 GMT"
LATER = "Fri, 02 Jan 2026 03:04:06 GMT"


def test_http_date():
    assert http_date(MODIFIED) == DATE


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({}, "send"),
        ({"if-none-match": '"abc"'}, "not_modified"),
        ({"if-none-match": 'W/"abc"'}, "not_modified"),
        ({"if-none-match": '"x", W/"y" ,"abc"'}, "not_modified"),
        ({"if-none-match": '"a,b","abc"'}, "not_modified"),
        ({"if-none-match": "*"}, "not_modified"),
        ({"if-none-match": '"x"'}, "send"),
        ({"if-none-match": "abc"}, "send"),
        ({"if-none-match": ""}, "send"),
        ({"if-modified-since": DATE}, "not_modified"),
        ({"if-modified-since": LATER}, "not_modified"),
        ({"if-modified-since": EARLIER}, "send"),
        ({"if-modified-since": "yesterday"}, "send"),
        ({"if-modified-since": "Fri, 99 Jan 2026 99:04:04 GMT"}, "send"),
        # an entity tag outweighs a date
        ({"if-none-match": '"x"', "if-modified-since": LATER}, "send"),
        ({"if-match": '"abc"'}, "send"),
        ({"if-match": "*"}, "send"),
        ({"if-match": '"abc"', "if-none-match": '"abc"'}, "not_modified"),
        ({"if-unmodified-since": DATE}, "send"),
        ({"if-unmodified-since": "nonsense"}, "send"),
    ],
)
def test_decisions(headers, verdict):
    assert decide(headers, ETAG, MODIFIED) == verdict


@pytest.mark.parametrize(
    "headers",
    [{"if-match": '"x"'}, {"if-match": 'W/"abc"'}, {"if-unmodified-since": EARLIER}],
)
def test_failed_preconditions(headers):
    with pytest.raises(Rejected) as caught:
        decide(headers, ETAG, MODIFIED)
    assert caught.value.status == 412


def ranged(value: str, **more: str) -> tuple[int, int] | None:
    headers = {"range": value, **{name.replace("_", "-"): text for name, text in more.items()}}
    return requested_range(headers, 1000, ETAG, MODIFIED)


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-499", (0, 500)),
        ("bytes=500-", (500, 1000)),
        ("bytes=999-999", (999, 1000)),
        ("bytes=990-99999", (990, 1000)),
        ("bytes=-1", (999, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("Bytes= 1-2 ", (1, 3)),
        # another unit says nothing here (RFC 9110, 14.2)
        ("pages=1-2", None),
    ],
)
def test_ranges(value, span):
    assert ranged(value) == span


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("bytes=0-1,3-4", "multiple_ranges"),
        ("bytes=0-1,", "multiple_ranges"),
        ("bytes=", "malformed_range"),
        ("bytes=-", "malformed_range"),
        ("bytes=a-b", "malformed_range"),
        ("bytes=5", "malformed_range"),
        ("bytes=5-2", "malformed_range"),
        ("bytes=--5", "malformed_range"),
        ("bytes=0x0-5", "malformed_range"),
        ("bytes=\u0660-\u0665", "malformed_range"),
        ("bytes=" + "9" * 5000 + "-", "malformed_range"),
        ("0-5", "malformed_range"),
        ("", "malformed_range"),
        ("bytes=1000-", "range_not_satisfiable"),
        ("bytes=5000-6000", "range_not_satisfiable"),
        ("bytes=-0", "range_not_satisfiable"),
    ],
)
def test_ranges_that_are_not_served(value, code):
    with pytest.raises(Rejected) as caught:
        ranged(value)
    assert (caught.value.status, caught.value.code) == (416, code)
    assert caught.value.headers == {"content-range": "bytes */1000"}


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        ('"abc"', True),
        ('"other"', False),
        ('W/"abc"', False),
        (DATE, True),
        (EARLIER, False),
        (LATER, False),
        ("nonsense", False),
    ],
)
def test_if_range(if_range, holds):
    assert ranged("bytes=0-1", if_range=if_range) == ((0, 2) if holds else None)


def test_a_range_that_does_not_hold_is_not_even_checked():
    assert ranged("bytes=0-1,5-6", if_range='"other"') is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_header_is_decided_or_rejected(one, other):
    headers = {
        "range": f"bytes={one}",
        "if-range": other,
        "if-none-match": one,
        "if-modified-since": other,
        "if-match": "*",
    }
    decide(headers, ETAG, MODIFIED)
    try:
        span = requested_range({"range": headers["range"]}, 1000, ETAG, MODIFIED)
    except Rejected as error:
        span, status = None, error.status
    else:
        status = 206
    assert status == 416 if span is None else 0 <= span[0] < span[1] <= 1000
