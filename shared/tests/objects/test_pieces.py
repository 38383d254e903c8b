from __future__ import annotations

from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st
from imagesystem.objects.pieces import rechunk, slices

SIZES = st.integers(1, 20)
PIECES = st.lists(st.binary(max_size=60), max_size=10)


async def each(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@given(PIECES, SIZES)
async def test_pieces_become_chunks_of_one_size(pieces: list[bytes], size: int) -> None:
    chunks = [bytes(chunk) async for chunk in rechunk(each(pieces), size)]
    assert chunks == [bytes(view) for view in slices(b"".join(pieces), size)]
    assert all(len(chunk) == size for chunk in chunks[:-1])


async def test_a_buffer_that_is_filled_again_changes_nothing() -> None:
    buffer = bytearray(b"aaaa")

    async def source() -> AsyncIterator[bytes]:
        yield buffer  # type: ignore[misc]
        buffer[:] = b"bbbb"
        yield buffer  # type: ignore[misc]

    chunks = [chunk async for chunk in rechunk(source(), 4)]
    assert [bytes(chunk) for chunk in chunks] == [b"aaaa", b"bbbb"]
