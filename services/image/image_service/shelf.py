"""Renditions in memory: those that were asked for last, so many bytes of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from prometheus_client import Gauge

__all__ = ["Shelf"]

#: What an entry takes besides its bytes.
ENTRY_BYTES = 512


class Shelf:
    """Bytes by name (`<image id>/<key>`), the least recently asked for give way.

    `held` shows how many bytes that are.
    """

    def __init__(self, max_bytes: int, held: Gauge) -> None:
        self._max_bytes = max_bytes
        self._held = held
        self._bytes = 0
        self._data: OrderedDict[str, bytes] = OrderedDict()
        self._names: dict[str, set[str]] = {}
        self._shown: dict[str, tuple[str, ...]] = {}

    def get(self, name: str) -> bytes | None:
        """Return what is there under this name."""
        data = self._data.get(name)
        if data is not None:
            self._data.move_to_end(name)
        return data

    def put(self, name: str, data: bytes, shown: Iterable[str]) -> None:
        """Keep it, if it is not the half of all there is; `shown`: the images it is made of."""
        self._take_out(name)
        if len(data) + ENTRY_BYTES > self._max_bytes // 2:
            return
        self._data[name] = data
        self._shown[name] = tuple(shown)
        for image_id in self._shown[name]:
            self._names.setdefault(image_id, set()).add(name)
        self._bytes += len(data) + ENTRY_BYTES
        while self._bytes > self._max_bytes:
            self._take_out(next(iter(self._data)))
        self._held.set(self._bytes)

    def drop(self, image_id: str) -> None:
        """Take out whatever shows an image."""
        for name in list(self._names.get(image_id, ())):
            self._take_out(name)
        self._held.set(self._bytes)

    def _take_out(self, name: str) -> None:
        data = self._data.pop(name, None)
        if data is None:
            return
        self._bytes -= len(data) + ENTRY_BYTES
        for image_id in self._shown.pop(name):
            names = self._names[image_id]
            names.discard(name)
            if not names:
                del self._names[image_id]
