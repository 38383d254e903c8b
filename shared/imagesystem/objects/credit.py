"""How many bytes may be under way at once, over all objects of a bucket."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Credit"]


class Credit:
    """A limit in bytes, shared first come, first served.

    It bounds the memory of this process and keeps the server from taking the connection for a
    slow consumer (64 MiB unread) or its stream for flooded (128 MiB unwritten).
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.free = limit
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take(self, size: int) -> asyncio.Future[None] | None:
        """Take `size` bytes (at most the limit): None, or a future to wait for.

        Whoever does not wait to the end must `withdraw` the future.
        """
        size = min(size, self.limit)
        if not self._waiting and size <= self.free:
            self.free -= size
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        return turn

    def give(self, size: int) -> None:
        """Give `size` bytes back."""
        self.free += min(size, self.limit)
        self._serve()

    def withdraw(self, turn: asyncio.Future[None], size: int) -> None:
        """Stop waiting; what was granted in the meantime is given back."""
        if turn.done() and not turn.cancelled():
            self.give(size)
            return
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not turn)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            size, turn = self._waiting.popleft()
            self.free -= size
            turn.set_result(None)
