"""One worker process of a pool: started on demand, told what to do, heard while it works.

One socket each way and no thread in between: a call costs what pickling it costs. When the
process dies the socket ends, and what was told before is known, whatever it died of.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import socket
import struct
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal, TypeAlias, TypeGuard, TypeVar

from imagesystem.arena import Arena, Piece, Window
from imagesystem.errors import Transient

__all__ = ["Lane", "WorkerDied"]

R = TypeVar("R")

#: What a worker says: a value while it works, what the call returned, what it raised.
Kind: TypeAlias = Literal["told", "returned", "raised"]
#: Of an argument that is not worth a copy.
LARGE_BYTES = 64 * 1024
#: How many such arguments follow a call.
COUNT = struct.Struct("!i")
#: Of the socket, so that a picture goes through in few pieces.
BUFFER_BYTES = 1024 * 1024


class WorkerDied(Transient):
    """The process died while it worked on this call (a crash, or out of memory)."""

    code = "worker_died"


class Lane:
    """One worker process, started on demand and again after it died."""

    def __init__(
        self, initializer: Callable[[], None] | None, niceness: int, arena: Arena | None = None
    ) -> None:
        self._initializer = initializer
        self._niceness = niceness
        self._arena = arena
        self._process: BaseProcess | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.pid: int | None = None

    async def start(self) -> None:
        """Start the process unless it runs; raises `WorkerDied`."""
        if self._process is not None:
            return
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        connection = Connection(theirs.detach())
        # spawn: the parent has threads and sockets that a fork must not copy
        window = None if self._arena is None else self._arena.window()
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(self._initializer, self._niceness, connection, window), daemon=True
        )
        # There is a process per core: a BLAS that takes all cores for one product would make the
        # others wait (it reads this when it is loaded, so it must stand before the process starts)
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            connection.close()  # the process has its own: the socket ends when it does
        self._process, self.pid = process, process.pid
        self._reader, self._writer = await asyncio.open_unix_connection(
            sock=ours, limit=BUFFER_BYTES
        )
        try:
            await self._ended(_ignored)
        except WorkerDied as error:
            self.kill()
            raise WorkerDied("a worker process died while it started") from error

    async def call(
        self, function: Callable[..., R], args: tuple[object, ...], tell: Callable[[Any], None]
    ) -> R:
        """Have the process call the function; `tell` gets what it yields, if it is a generator.

        Raises what the function raises, `WorkerDied` when the process dies.
        """
        assert self._writer is not None  # noqa: S101  started
        self._writer.writelines(_frames(function, args))
        with suppress(ConnectionError):  # it died: reading will say so
            await self._writer.drain()
        result: R = await self._ended(tell)
        return result

    async def _ended(self, tell: Callable[[Any], None]) -> Any:
        """Hear the process until the call has ended; returns or raises what came of it."""
        assert self._reader is not None  # noqa: S101  started
        while True:
            try:
                kind, value = await _received(self._reader)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise WorkerDied("the worker process died") from error
            if kind == "raised":
                raise value
            if kind == "returned":
                return value
            tell(value)

    def kill(self) -> BaseProcess | None:
        """End the process at once; returns it, to be waited for."""
        process = self._process
        if self._writer is not None:
            self._writer.close()
        self._process = self.pid = self._reader = self._writer = None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
        return process


def _ignored(_value: Any) -> None:
    """Hear nothing."""


def _frames(function: Callable[..., Any], args: tuple[object, ...]) -> Iterator[bytes]:
    """Return a call as it is written: large bytes behind the pickle, so that none are copied."""
    large = [each for each in args if _is_large(each)]
    packed = [pickle.PickleBuffer(each) if _is_large(each) else each for each in args]
    data = pickle.dumps((function, packed), pickle.HIGHEST_PROTOCOL, buffer_callback=lambda _: None)
    yield _head(COUNT.size + len(data))
    yield COUNT.pack(len(large))
    yield data
    for each in large:
        yield _head(len(each))
        yield each


def _is_large(value: object) -> TypeGuard[bytes]:
    return type(value) is bytes and len(value) >= LARGE_BYTES


def _head(size: int) -> bytes:
    """Return what goes before a frame, as `Connection` writes it."""
    return struct.pack("!i", size) if size < 1 << 31 else struct.pack("!iQ", -1, size)


async def _received(reader: asyncio.StreamReader) -> tuple[Kind, Any]:
    """Return the next thing that the worker says."""
    (size,) = struct.unpack("!i", await reader.readexactly(4))
    if size == -1:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    # only our own process writes to this socket
    said: tuple[Kind, Any] = pickle.loads(await reader.readexactly(size))  # noqa: S301
    return said


def _serve(
    initializer: Callable[[], None] | None,
    niceness: int,
    connection: Connection,
    window: Window | None,
) -> None:
    """Run in the worker: do what comes, one call after the other, until nobody is there."""
    os.nice(niceness)
    # Ctrl-C reaches the whole process group; only the service decides when workers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if initializer is not None:
        initializer()
    with suppress(EOFError, ConnectionError):
        _say(connection, "returned", None)
        while True:
            _say(connection, *_done(connection, connection.recv_bytes(), window))


def _done(connection: Connection, call: bytes, window: Window | None) -> tuple[Kind, Any]:
    try:
        received = [connection.recv_bytes() for _ in range(*COUNT.unpack_from(call))]
        function, args = pickle.loads(  # noqa: S301  from our own process
            memoryview(call)[COUNT.size :], buffers=received
        )
        if window is not None:
            args = [window.read(each) if isinstance(each, Piece) else each for each in args]
        result = function(*args)
        if isinstance(result, Generator):
            result = _told(connection, result)
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001  whoever called is told
        error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        return "raised", error
    return "returned", result


def _told(connection: Connection, values: Generator[Any, None, Any]) -> Any:
    """Say what is yielded; returns what is returned."""
    try:
        while True:
            _say(connection, "told", next(values))
    except StopIteration as end:
        return end.value


def _say(connection: Connection, kind: Kind, value: Any) -> None:
    try:
        data = pickle.dumps((kind, value), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001  what cannot travel is told of
        failure = RuntimeError(f"a worker's answer cannot be pickled: {error}: {value!r:.300}")
        data = pickle.dumps(("raised", failure), pickle.HIGHEST_PROTOCOL)
    connection.send_bytes(data)
