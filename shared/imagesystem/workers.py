"""Worker processes for native code on untrusted pixels: one call at a time each.

A death is attributed to the call that was running, and the other workers are untouched. Each
lane is a `ProcessPoolExecutor` with one process, because the death of one process breaks a
whole executor: with one process each, that is exactly the guilty call.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from imagesystem import logs, tracing
from imagesystem.errors import Transient

__all__ = ["WorkerDied", "WorkerPool", "usable_cores"]

R = TypeVar("R")
log = logs.get(__name__)


class WorkerDied(Transient):
    """The process died while it worked on this call (a crash, or out of memory)."""

    code = "worker_died"


def usable_cores() -> int:
    """Return how many cores this process may use: its affinity, bounded by cgroup `cpu.max`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores or 1, max(1, int(quota) // int(period)))
    return max(1, cores or 1)


def _begin(initializer: Callable[[], None] | None, niceness: int) -> None:
    os.nice(niceness)
    # Ctrl-C reaches the whole process group; only the service decides when workers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if initializer is not None:
        initializer()


class _Lane:
    """One worker process, started on demand and again after it died."""

    def __init__(self, initializer: Callable[[], None] | None, niceness: int) -> None:
        self._initializer = initializer
        self._niceness = niceness
        self._executor: ProcessPoolExecutor | None = None
        self.pid: int | None = None

    async def start(self) -> ProcessPoolExecutor:
        if self._executor is None:
            executor = ProcessPoolExecutor(
                max_workers=1,
                # spawn: the parent has threads and sockets that a fork must not copy
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(self._initializer, self._niceness),
            )
            try:
                self.pid = await asyncio.wrap_future(executor.submit(os.getpid))
            except BrokenProcessPool as error:
                raise WorkerDied("a worker process died while it started") from error
            self._executor = executor
        return self._executor

    def kill(self) -> ProcessPoolExecutor | None:
        executor, pid = self._executor, self.pid
        self._executor = self.pid = None
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        return executor


class WorkerPool:
    """`size` worker processes; a context manager: `async with WorkerPool(2) as pool`.

    `initializer` runs once in each process (import what is slow there). `niceness` (0-19) is for
    work that nobody waits for: it yields the cores to processes that answer requests.
    """

    def __init__(
        self,
        size: int,
        initializer: Callable[[], None] | None = None,
        *,
        niceness: int = 0,
    ) -> None:
        self.size = size
        self._lanes = [_Lane(initializer, niceness) for _ in range(size)]
        self._free: asyncio.LifoQueue[_Lane] = asyncio.LifoQueue()
        self.waiting = 0

    async def __aenter__(self) -> WorkerPool:
        """Start all processes, so that the first call does not wait for an import."""
        await asyncio.gather(*(lane.start() for lane in self._lanes))
        for lane in self._lanes:
            self._free.put_nowait(lane)
        return self

    async def __aexit__(self, *_: object) -> None:
        for executor in [lane.kill() for lane in self._lanes]:
            if executor is not None:
                # its threads give back the semaphores that they share with the worker
                await asyncio.to_thread(executor.shutdown, wait=True)

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [lane.pid for lane in self._lanes if lane.pid is not None]

    async def run(
        self,
        function: Callable[..., R],
        *args: object,
        deadline_s: float = 60.0,
        called: str = "",
    ) -> R:
        """Call `function(*args)` in a free worker and return what it returns or raises.

        Traces have it as `called`, else by the function's name, the wait for a worker included.

        Function, arguments and result travel by pickle. Raises `WorkerDied` when the process
        dies, `Transient` (`deadline_exceeded`) after `deadline_s` seconds of work; in both
        cases the process is replaced. The time waited for a free worker does not count.
        """
        with tracing.span(called or function.__name__) as span:
            self.waiting += 1
            try:
                lane = await self._free.get()
            finally:
                self.waiting -= 1
            span.event("worker_free")
            return await self._in_lane(lane, function, args, deadline_s)

    async def _in_lane(
        self,
        lane: _Lane,
        function: Callable[..., R],
        args: tuple[object, ...],
        deadline_s: float,
    ) -> R:
        try:
            executor = await lane.start()
            future = executor.submit(function, *args)
            async with asyncio.timeout(deadline_s):
                return await asyncio.wrap_future(future)
        except BrokenProcessPool as error:
            log.warning("worker_died", pid=lane.pid, function=function.__name__)
            lane.kill()
            raise WorkerDied(f"the worker process died in {function.__name__}") from error
        except TimeoutError as error:
            lane.kill()
            raise Transient(
                f"{function.__name__} took more than {deadline_s:g} s", code="deadline_exceeded"
            ) from error
        except asyncio.CancelledError:
            lane.kill()  # nobody waits for the result, and the lane must be free for the next
            raise
        finally:
            self._free.put_nowait(lane)
