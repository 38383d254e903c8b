"""One part and its process: started, watched, started again when it dies, stopped in time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

from pymongo.errors import PyMongoError

from local_stack.errors import StackError
from local_stack.logstream import LogStream
from local_stack.parts import Part
from local_stack.processes import identify
from local_stack.readiness import probe
from local_stack.state import PartState, PartStatus

__all__ = ["Keeper"]

_LAUNCHER = Path(__file__).with_name("launcher.py")
_FIRST_POLL_S = 0.05
_POLL_S = 1.0
#: A part that ends this often before it was ever ready does not start at all.
_START_ATTEMPTS = 3
_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 10.0
#: Having lived this long, a part may fail again from the shortest delay on.
_STEADY_S = 60.0
#: For what a part started to end when the part itself has ended.
_GROUP_END_S = 2.0
_LINE_BYTES = 256 * 1024

Wish: TypeAlias = Literal["run", "hold", "leave"]


class Keeper:
    """Keeps one part running until it is told otherwise."""

    def __init__(
        self,
        part: Part,
        stream: LogStream,
        changed: Callable[[], None],
        socket: int | None = None,
    ) -> None:
        self.part = part
        self.state = PartState(
            name=part.name, version=part.version, port=part.port, probe=part.probe
        )
        self.ready = asyncio.Event()
        self.gone = asyncio.Event()
        self.gone.set()
        self._stream = stream
        self._changed = changed
        self._socket = socket if part.socket else None
        self._wish: Wish = "run"
        self._wished = asyncio.Condition()
        self._was_ready = False
        self._pid: int | None = None

    async def keep(self, dependencies: Iterable[Keeper]) -> None:
        """Run the part whenever it is wanted, once `dependencies` are ready, until `leave`.

        Raises `StackError` when it cannot be started.
        """
        await self._until_ready_or_leaving(dependencies)
        failures = 0
        clock = asyncio.get_running_loop().time
        while await self._wanted():
            began = clock()
            code = await self._live_once()
            if self._wish != "run":
                failures = 0
                continue
            failures = 1 if clock() - began > _STEADY_S else failures + 1
            words = self._stream.last_words(self.part.name, self.part.kind)
            if not self._was_ready and failures >= _START_ATTEMPTS:
                raise StackError(
                    f"{self.part.name} does not start (exit status {code}): {words or 'silent'}; "
                    f"its log: {self._stream.path(self.part.name)}"
                )
            delay = min(_FIRST_DELAY_S * 2 ** (failures - 1), _LONGEST_DELAY_S)
            self._stream.say(
                "part_ended", level="warning", part=self.part.name, code=code, again_in_s=delay
            )
            self.state.restarts += 1
            self._set("restarting", f"it ended with {code}; starts again")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._until("hold", "leave"), delay)
        self._set("stopped")

    async def wish(self, wish: Wish) -> None:
        """Say what should be: `run`, `hold` (stopped, may run again) or `leave` (for good)."""
        async with self._wished:
            if self._wish != "leave":
                self._wish = wish
            self._wished.notify_all()

    def kill(self) -> None:
        """Kill the process and everything it started, at once."""
        self._signal(signal.SIGKILL)

    def crash(self) -> None:
        """Kill the process alone, as a crash would."""
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._pid, number)

    async def _until_ready_or_leaving(self, dependencies: Iterable[Keeper]) -> None:
        async def ready() -> None:
            for other in dependencies:
                await other.ready.wait()

        tasks = {asyncio.ensure_future(ready()), asyncio.ensure_future(self._until("leave"))}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    async def _until(self, *wishes: Wish) -> None:
        async with self._wished:
            await self._wished.wait_for(lambda: self._wish in wishes)

    async def _wanted(self) -> bool:
        if self._wish == "hold":
            self._set("held")
        await self._until("run", "leave")
        return self._wish == "run"

    def _set(self, status: PartStatus, detail: str = "") -> None:
        if status == "ready":
            self.ready.set()
        else:
            self.ready.clear()
        if (status, detail) != (self.state.status, self.state.detail):
            self.state.status, self.state.detail = status, detail
            self._changed()

    async def _live_once(self) -> int:
        """Start the process, return its exit status once it and what it started are gone."""
        self.gone.clear()
        self._set("starting")
        process, reading = await self._launch()
        ended = asyncio.ensure_future(process.wait())
        watching = asyncio.ensure_future(self._watch())
        unwanted = asyncio.ensure_future(self._until("hold", "leave"))
        try:
            await asyncio.wait({ended, watching, unwanted}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                self._set("stopping")
                with suppress(ProcessLookupError):
                    process.terminate()
                await asyncio.wait({ended}, timeout=self.part.stop_s)
                if not ended.done():
                    self._stream.say("part_killed", level="warning", part=self.part.name)
            # The workers of a service that died without a word: asked first, so that Python's
            # resource tracker, which is one of them, removes the semaphores that they shared.
            self._signal(signal.SIGTERM)
            await asyncio.wait({reading}, timeout=_GROUP_END_S)
        finally:
            self.kill()
            code = await ended
            # whoever still holds the pipe is no part of ours
            await asyncio.wait({reading}, timeout=_GROUP_END_S)
            for task in (reading, watching, unwanted):
                task.cancel()
            self._pid = self.state.process = None
            self.gone.set()
        if watching.done() and not watching.cancelled() and (error := watching.exception()):
            raise error
        return code

    async def _launch(self) -> tuple[Process, asyncio.Future[None]]:
        part = self.part
        ours, theirs = os.pipe()
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())]
        try:
            process = await asyncio.create_subprocess_exec(
                *launcher,
                part.socket or "-",
                *part.command,
                cwd=part.folder,
                env=part.environ,
                stdin=DEVNULL if self._socket is None else self._socket,
                stdout=theirs,
                stderr=theirs,
                # a group of its own: Ctrl-C reaches the supervisor alone, which stops in order
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        self._pid = process.pid
        self.state.process = identify(process.pid)
        self._stream.say("part_started", part=part.name, pid=process.pid, port=part.port)
        self._changed()
        return process, asyncio.ensure_future(self._read(ours))

    async def _read(self, descriptor: int) -> None:
        """Pass every line on, the longest in pieces, until all writers are gone."""
        name, kind = self.part.name, self.part.kind
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
        )
        rest = b""
        try:
            while data := await reader.read(_LINE_BYTES):
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) >= _LINE_BYTES:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._stream.line(name, kind, line)
            if rest:
                self._stream.line(name, kind, rest)
        finally:
            transport.close()

    async def _watch(self) -> None:
        """Keep the state true; return when the process says that it wants to be restarted."""
        pause = _FIRST_POLL_S
        while True:
            answer = await probe(self.part.probe)
            problem = answer.problem or await self._prepare()
            self.state.version = answer.version or self.state.version
            if problem is None:
                if not self.ready.is_set():
                    self._stream.say("part_ready", part=self.part.name)
                self._was_ready = True
                self._set("ready")
            else:
                self._set("unready" if self._was_ready else "starting", problem)
                if self.part.live and answer.status and await self._wants_restart():
                    return
            pause = _POLL_S if self.ready.is_set() else min(pause * 1.3, _POLL_S)
            await asyncio.sleep(pause)

    async def _prepare(self) -> str | None:
        if self._was_ready or self.part.prepare is None:
            return None
        try:
            await self.part.prepare()
        except PyMongoError as error:
            return str(error)
        return None

    async def _wants_restart(self) -> bool:
        answer = await probe(self.part.live)
        if answer.status != 503:
            return False
        self._stream.say(
            "part_not_live", level="error", part=self.part.name, problem=answer.problem
        )
        return True
