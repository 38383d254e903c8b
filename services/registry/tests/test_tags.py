from __future__ import annotations

import pytest
from imagesystem.errors import Rejected
from registry_service.tags import parse


def test_tags_are_split_trimmed_and_told_once() -> None:
    assert parse(["a, b ,,c", "b", " two  words ", ""]) == ["a", "b", "c", "two words"]
    assert parse([]) == []


@pytest.mark.parametrize("text", ["x" * 101, "bell\x07", "turned\u202earound"])
def test_what_is_no_tag(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse([text])
    assert (caught.value.status, caught.value.code) == (400, "invalid_tag")


def test_too_many_tags() -> None:
    with pytest.raises(Rejected) as caught:
        parse([",".join(map(str, range(101)))])
    assert (caught.value.code, caught.value.allowed, caught.value.actual) == (
        "too_many_tags",
        100,
        101,
    )
