"""Worker processes for native code on untrusted pixels: one call at a time each.

A death is attributed to the call that was running, and the other workers are untouched. (The
death of one process breaks a whole `ProcessPoolExecutor`; that one also has a thread for each
direction, which took longer than many a call.)
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from imagesystem import logs, tracing
from imagesystem.arena import Arena
from imagesystem.errors import Transient, Unavailable
from imagesystem.lanes import Lane, WorkerDied

__all__ = ["WorkerDied", "WorkerPool", "usable_cores", "usable_memory"]

R = TypeVar("R")
log = logs.get(__name__)


def usable_cores() -> int:
    """Return how many cores this process may use: its affinity, bounded by cgroup `cpu.max`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores or 1, max(1, int(quota) // int(period)))
    return max(1, cores or 1)


def usable_memory() -> int:
    """Return how many bytes this process may use: the machine's, bounded by cgroup `memory.max`."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


class WorkerPool:
    """`size` worker processes; a context manager: `async with WorkerPool(2) as pool`.

    `initializer` runs once in each process (import what is slow there). `niceness` (0-19) is for
    work that nobody waits for: it yields the cores to processes that answer requests. Pieces of the
    `arena` among a call's arguments arrive as their bytes; whoever calls holds them meanwhile.
    """

    def __init__(
        self,
        size: int,
        initializer: Callable[[], None] | None = None,
        *,
        niceness: int = 0,
        arena: Arena | None = None,
    ) -> None:
        self.size = size
        self._lanes = [Lane(initializer, niceness, arena) for _ in range(size)]
        self._idle: list[Lane] = []
        self._urgent: deque[asyncio.Future[Lane]] = deque()
        self._patient: deque[asyncio.Future[Lane]] = deque()

    async def __aenter__(self) -> WorkerPool:
        """Start all processes, so that the first call does not wait for an import."""
        await asyncio.gather(*(lane.start() for lane in self._lanes))
        self._idle = list(self._lanes)
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in [lane.kill() for lane in self._lanes]:
            if process is not None:
                await asyncio.to_thread(process.join)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [lane.pid for lane in self._lanes if lane.pid is not None]

    @property
    def waiting(self) -> int:
        """How many calls wait for a worker."""
        return len(self._urgent) + len(self._patient)

    async def run(
        self,
        function: Callable[..., R],
        *args: object,
        deadline_s: float = 60.0,
        called: str = "",
        patient: bool = False,
    ) -> R:
        """Call `function(*args)` in a free worker and return what it returns or raises.

        Traces have it as `called`, else by the function's name, the wait for a worker included.
        A `patient` call lets all others go first.

        Function, arguments and result travel by pickle. Raises `WorkerDied` when the process
        dies, `Transient` (`deadline_exceeded`) after `deadline_s` seconds of work; in both
        cases the process is replaced. The time waited for a free worker does not count.
        """

        async def call(lane: Lane) -> R:
            return await lane.call(function, args, _unheard)

        name = called or function.__name__
        return await self._in_lane(name, call, deadline_s=deadline_s, patient=patient)

    async def stream(
        self,
        function: Callable[..., Generator[Any, None, Any]],
        *args: object,
        tell: Callable[[Any], None],
        deadline_s: float = 60.0,
        called: str = "",
        patient: bool = False,
        wait_s: float | None = None,
    ) -> None:
        """Call a generator function in a free worker; `tell` gets each value as it is yielded.

        And then what it returns, unless that is None: it comes with the news that the call has
        ended. Otherwise as `run`: what was told before a process died or took too long was told.
        Raises `Unavailable` when no worker was free within `wait_s` seconds.
        """

        async def call(lane: Lane) -> None:
            last = await lane.call(function, args, tell)
            if last is not None:
                tell(last)

        name = called or function.__name__
        await self._in_lane(name, call, deadline_s=deadline_s, patient=patient, wait_s=wait_s)

    async def _in_lane(
        self,
        name: str,
        call: Callable[[Lane], Awaitable[R]],
        *,
        deadline_s: float,
        patient: bool,
        wait_s: float | None = None,
    ) -> R:
        with tracing.span(name) as span:
            lane = await self._soon(patient, wait_s)
            span.event("worker_free")
            try:
                await lane.start()
                async with asyncio.timeout(deadline_s):
                    return await call(lane)
            except WorkerDied as error:
                log.warning("worker_died", pid=lane.pid, function=name)
                lane.kill()
                raise WorkerDied(f"the worker process died in {name}") from error
            except TimeoutError as error:
                lane.kill()
                raise Transient(
                    f"{name} took more than {deadline_s:g} s", code="deadline_exceeded"
                ) from error
            except asyncio.CancelledError:
                lane.kill()  # nobody waits for the result, and the lane must be free for the next
                raise
            finally:
                self._give_back(lane)

    async def _soon(self, patient: bool, wait_s: float | None) -> Lane:
        try:
            async with asyncio.timeout(wait_s):
                return await self._taken(patient)
        except TimeoutError as error:
            raise Unavailable("worker", f"no worker was free within {wait_s:g} s") from error

    async def _taken(self, patient: bool) -> Lane:
        """Return a lane that nobody else has, the one used last if several are free."""
        if self._idle:
            return self._idle.pop()
        queue = self._patient if patient else self._urgent
        turn: asyncio.Future[Lane] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._give_back(turn.result())
            with suppress(ValueError):
                queue.remove(turn)
            raise

    def _give_back(self, lane: Lane) -> None:
        for queue in (self._urgent, self._patient):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(lane)
                    return
        self._idle.append(lane)


def _unheard(_value: object) -> None:
    """Hear nothing of what is told."""
