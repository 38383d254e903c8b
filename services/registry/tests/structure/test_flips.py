"""Property tests: whatever is cut off or flipped, the answer is a verdict and never a crash."""

from __future__ import annotations

import io
import warnings

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imagesystem.errors import Rejected
from registry_service.pictures import Picture, inspect
from registry_service.structure import Limits

EASY = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def verdict(data: bytes) -> Picture | Rejected:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about the nonsense that it is given
            return inspect(io.BytesIO(data), Limits())
    except Rejected as error:
        return error


@EASY
@given(share=st.floats(0, 1, exclude_max=True))
def test_any_cut_is_refused(sample: tuple[str, bytes], share: float) -> None:
    _, data = sample
    assert isinstance(verdict(data[: int(len(data) * share)]), Rejected)


@EASY
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1),
    header=st.booleans(),
)
def test_any_flip_ends_in_a_verdict(
    sample: tuple[str, bytes], flips: list[tuple[float, int]], header: bool
) -> None:
    data = bytearray(sample[1])
    reach = min(400, len(data)) if header else len(data)
    for share, value in flips:
        data[int(reach * share)] = value
    found = verdict(bytes(data))
    assert isinstance(found, Picture) or found.status in (415, 422)
    if isinstance(found, Picture):
        assert msgspec.json.decode(msgspec.json.encode(found), type=Picture) == found
        assert 0 < found.width * found.height <= Limits().max_pixels


@EASY
@given(insert=st.binary(max_size=40), share=st.floats(0, 1))
def test_any_insertion_ends_in_a_verdict(
    sample: tuple[str, bytes], insert: bytes, share: float
) -> None:
    data = sample[1]
    at = int(len(data) * share)
    verdict(data[:at] + insert + data[at:])


@pytest.mark.parametrize("size", [0, 1, 7, 8, 13, 31, 64])
def test_beginnings_are_refused(sample: tuple[str, bytes], size: int) -> None:
    found = verdict(sample[1][:size])
    assert isinstance(found, Rejected)
    assert found.code == "empty_file" if size == 0 else found.code != "empty_file"
