"""One worker process of a pool: started on demand, told what to do, heard while it works.

A call's values travel back through a pipe of the lane's own while it runs, its end through the
executor: what was told before a process died is known, whatever it died of.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from imagesystem.errors import Transient

__all__ = ["Lane", "WorkerDied"]

R = TypeVar("R")

#: The worker's end of its lane's pipe: set once, by the process itself, when it begins.
_pipe: list[Connection] = []


class WorkerDied(Transient):
    """The process died while it worked on this call (a crash, or out of memory)."""

    code = "worker_died"


class Lane:
    """One worker process, started on demand and again after it died."""

    def __init__(self, initializer: Callable[[], None] | None, niceness: int) -> None:
        self._initializer = initializer
        self._niceness = niceness
        self._executor: ProcessPoolExecutor | None = None
        self._told: asyncio.StreamReader | None = None
        self._transport: asyncio.ReadTransport | None = None
        self.pid: int | None = None

    async def start(self) -> None:
        """Start the process unless it runs; raises `WorkerDied`."""
        if self._executor is not None:
            return
        reader, writer = multiprocessing.Pipe(duplex=False)
        executor = ProcessPoolExecutor(
            max_workers=1,
            # spawn: the parent has threads and sockets that a fork must not copy
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self._initializer, self._niceness, writer),
        )
        try:
            self.pid = await asyncio.wrap_future(executor.submit(os.getpid))
        except BrokenProcessPool as error:
            reader.close()
            raise WorkerDied("a worker process died while it started") from error
        finally:
            writer.close()  # the process has its own: the pipe ends when it does
        self._executor = executor
        self._told = told = asyncio.StreamReader()
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(told), os.fdopen(os.dup(reader.fileno()), "rb")
        )
        reader.close()

    def submit(self, function: Callable[..., R], *args: object) -> Future[R]:
        """Have the process call the function."""
        assert self._executor is not None  # noqa: S101  started
        return self._executor.submit(function, *args)

    async def stream(
        self,
        function: Callable[..., Iterator[Any]],
        args: tuple[object, ...],
        tell: Callable[[Any], None],
    ) -> None:
        """Have the process call the generator function; `tell` gets each value as it is yielded.

        Raises what the function raises, `BrokenProcessPool` when the process dies.
        """
        future = self.submit(_told_one_by_one, function, args)
        assert self._told is not None  # noqa: S101  started
        with suppress(asyncio.IncompleteReadError):  # it died: the future says so
            while (value := await _received(self._told)) is not _End:
                tell(value)
        await asyncio.wrap_future(future)

    def kill(self) -> ProcessPoolExecutor | None:
        """End the process at once; returns its executor, which has threads to be waited for."""
        executor, pid = self._executor, self.pid
        if self._transport is not None:
            self._transport.close()
        self._executor = self.pid = self._told = self._transport = None
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        return executor


class _End:
    """What is told last, after a call's values."""


async def _received(told: asyncio.StreamReader) -> Any:
    """Return the next value, in the frames that `Connection.send` writes."""
    (size,) = struct.unpack("!i", await told.readexactly(4))
    if size == -1:
        (size,) = struct.unpack("!Q", await told.readexactly(8))
    # only our own process writes to this pipe
    return pickle.loads(await told.readexactly(size))  # noqa: S301


def _begin(initializer: Callable[[], None] | None, niceness: int, pipe: Connection) -> None:
    _pipe.append(pipe)
    os.nice(niceness)
    # Ctrl-C reaches the whole process group; only the service decides when workers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if initializer is not None:
        initializer()


def _told_one_by_one(function: Callable[..., Iterator[Any]], args: tuple[object, ...]) -> None:
    """Run in the worker: send each value, then the end, whatever happens."""
    try:
        for value in function(*args):
            _pipe[0].send(value)
    finally:
        _pipe[0].send(_End)
