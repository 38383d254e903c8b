"""The best quality that fits into so many bytes."""

from __future__ import annotations

from collections.abc import Callable

from imagesystem.errors import Rejected

__all__ = ["fitting"]


def fitting(encode: Callable[[int], bytes], quality: int | None, max_bytes: int | None) -> bytes:
    """Return `encode(quality)`, or that of the best quality below whose bytes fit.

    `quality` None: the encoder has none. Raises `Rejected` 422 `max_bytes_exceeded`, which says
    how small it became. At most eight pictures are encoded.
    """
    data = encode(quality or 0)
    if max_bytes is None or len(data) <= max_bytes:
        return data
    best, smallest = None, len(data)
    low, high = 1, (quality or 1) - 1
    while low <= high:
        middle = (low + high) // 2
        data = encode(middle)
        smallest = min(smallest, len(data))
        if len(data) <= max_bytes:
            best, low = data, middle + 1
        else:
            high = middle - 1
    if best is None:
        raise Rejected(
            422,
            "max_bytes_exceeded",
            f"it becomes no smaller than {smallest} bytes: ask for fewer pixels"
            + ("" if quality else ", or a format that has a quality"),
            limit="max_bytes",
            allowed=max_bytes,
            actual=smallest,
        )
    return best
