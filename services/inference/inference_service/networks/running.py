"""The runner's process, kept running: started when first needed, and again when it died."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
from imagesystem import logs

from inference_service.networks.asking import Remote
from inference_service.networks.host import HostLimits, Key, Loaded
from inference_service.networks.runner import READY, Order

__all__ = ["Runner"]

R = TypeVar("R")
log = logs.get(__name__)

#: What the folders are called that sockets are in: with the id of the service's process.
FOLDER = "inference"

#: Seconds that it may take until it listens; between a death and the next start, at first and at
#: most; from the end of its input to being killed.
START_S, FIRST_WAIT_S, LONGEST_WAIT_S, STOP_S = 60.0, 0.2, 10.0, 5.0


class Runner:
    """The process that has the networks; a context manager, which does not start it yet."""

    def __init__(self, folder: Path, limits: HostLimits, *, niceness: int = 0) -> None:
        self._folder = folder
        self._limits = limits
        self._niceness = niceness
        self._place: Path | None = None
        self._process: Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self.trouble: str | None = None

    @property
    def socket(self) -> str:
        """Where it listens, once it was started."""
        assert self._place is not None  # noqa: S101  started
        return str(self._place / "runner")

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def provider_missing(self) -> str | None:
        """Why the device that was asked for is not there, if so; a check of `Health`."""
        return self.trouble if self._limits.provider != "cpu" else None

    @property
    def limits(self) -> HostLimits:
        """What it keeps to."""
        return self._limits

    async def __aenter__(self) -> Runner:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        await self._end()
        if self._place is not None:
            shutil.rmtree(self._place, ignore_errors=True)

    async def start(self) -> None:
        """Start it unless it runs; `trouble` says what is wrong if it does not listen after."""
        async with self._starting:
            if self._keeping is None:
                self._place = await asyncio.to_thread(_folder_of_ours)
                await self._launch()
                self._keeping = asyncio.create_task(self._keep())

    async def loaded(self) -> tuple[Loaded, ...]:
        """Return the networks that are loaded; raises `Transient` while it is away."""
        return await self._asked(Remote.loaded) if self._process is not None else ()

    async def keep(self, keys: set[Key]) -> None:
        """Have all other networks closed; raises `Transient` while it is away."""
        if self._process is not None:
            await self._asked(lambda remote: remote.keep(keys))

    async def _asked(self, call: Callable[[Remote], R]) -> R:
        remote = Remote(self.socket)
        try:
            return await asyncio.to_thread(call, remote)
        finally:
            remote.close()

    async def _launch(self) -> None:
        # one that was ended has taken it along
        Path(self.socket).parent.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(self.socket)  # noqa: PTH108  a socket that nobody listens on any more
        order = Order(
            folder=str(self._folder),
            socket=self.socket,
            limits=self._limits,
            niceness=self._niceness,
        )
        module = "inference_service.networks.runner"
        argument = msgspec.json.encode(order).decode()
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, argument, stdin=PIPE, stdout=PIPE
        )
        assert process.stdout is not None  # noqa: S101  a pipe was asked for
        said = ""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                said = (await process.stdout.readline()).decode(errors="replace").strip()
        self.trouble = None if said == READY else said or "the process for models does not start"
        if self.trouble is not None:
            log.error("runner_failed", error=self.trouble)

    async def _keep(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            assert self._process is not None  # noqa: S101  launched before
            started = asyncio.get_running_loop().time()
            if self.trouble is not None:
                await self._end()
            status = await self._process.wait() if self._process is not None else None
            if self.trouble is None:
                log.warning("runner_died", status=status)
                self.trouble = "the process for models died: it is started again"
            lasted = asyncio.get_running_loop().time() - started
            wait = FIRST_WAIT_S if lasted > LONGEST_WAIT_S else min(wait * 2, LONGEST_WAIT_S)
            await asyncio.sleep(wait)
            await self._launch()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None  # noqa: S101
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _folder_of_ours() -> Path:
    """Return a new folder of this process, and remove those of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}-*-*"):
        with suppress(OSError, ValueError):
            pid = int(folder.name.split("-")[1])
            if folder.stat().st_uid == os.getuid() and not _runs(pid):
                shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER}-{os.getpid()}-"))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
