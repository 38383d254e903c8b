"""Bytes that arrive in pieces of any size, cut into chunks of one size."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

__all__ = ["rechunk", "slices", "whole"]


async def whole(data: bytes) -> AsyncIterator[bytes]:
    """Yield `data` as one piece."""
    yield data


def slices(data: bytes, size: int) -> list[memoryview]:
    """Return views of `data`, each `size` bytes long but the last; nothing is copied."""
    view = memoryview(data)
    return [view[start : start + size] for start in range(0, len(data), size)]


async def rechunk(
    source: AsyncIterator[bytes], size: int
) -> AsyncGenerator[bytes | memoryview, None]:
    """Yield what `source` yields in chunks of exactly `size` bytes, the last one shorter.

    Nothing is yielded for an empty source. At most one chunk and one piece are held.
    """
    held = bytearray()
    async for piece in source:
        # A buffer that its owner fills again would change what waits to be sent.
        view = memoryview(piece if isinstance(piece, bytes) else bytes(piece))
        if held:
            missing = size - len(held)
            held += view[:missing]
            view = view[missing:]
            if len(held) < size:
                continue
            yield bytes(held)
            held.clear()
        while len(view) >= size:
            yield view[:size]
            view = view[size:]
        held += view
    if held:
        yield bytes(held)
