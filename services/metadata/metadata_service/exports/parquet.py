"""Parquet, written by a process of its own: see `exports.parquet_process` for why."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from imagesystem import logs
from imagesystem.errors import Rejected, Transient

from metadata_service.exports.columns import COLUMNS
from metadata_service.queries import Row

__all__ = ["ParquetDied", "ParquetFile", "Press"]

log = logs.get(__name__)

PROGRAM = "metadata_service.exports.parquet_process"
LENGTH_BYTES = 4
#: Seconds after which it may be asked for again.
RETRY_S = 10
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
#: Characters of what the process complained about that are logged.
COMPLAINT = 4000
_encode = msgspec.json.Encoder().encode


class ParquetDied(Transient):
    """The process that writes a file has ended before the file had."""

    code = "parquet_died"


class Press:
    """Writes so many files at once: each takes a process, of about 100 MB."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._busy = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[ParquetFile]:
        """Begin a file; raises `Rejected` 503 `too_many_exports`."""
        if self._busy >= self._most:
            raise Rejected(
                503,
                "too_many_exports",
                "as many Parquet files as may be are being written; try again when one is done",
                limit="PARQUET_EXPORTS_MAX",
                allowed=self._most,
                actual=self._busy + 1,
                headers={"retry-after": str(RETRY_S)},
            )
        self._busy += 1
        try:
            async with _process() as file:
                yield file
        finally:
            self._busy -= 1


@asynccontextmanager
async def _process() -> AsyncIterator[ParquetFile]:
    """Start the process that writes one file; when the block is left, it is gone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the service, which may finish what it has begun
    )
    try:
        file = ParquetFile(process)
        await file.begin()
        yield file
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class ParquetFile:
    """A file on its way; see `Writer`. Holds no more than what one call is given and returns."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101  they are pipes
        assert process.stdout is not None  # noqa: S101
        self._process = process
        self._to, self._from = process.stdin, process.stdout

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    async def begin(self) -> None:
        """Say which columns there are."""
        await self._say([(column.name, column.kind) for column in COLUMNS])

    async def write(self, views: Sequence[Row]) -> bytes:
        """See `Writer.write`."""
        await self._say({c.name: [_plain(c.value(view)) for view in views] for c in COLUMNS})
        return await self._answer()

    async def close(self) -> bytes:
        """See `Writer.close`."""
        await self._say(None)
        return await self._answer()

    async def _say(self, what: Any) -> None:
        body = b"" if what is None else _encode(what)
        self._to.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
        # Broken: `_answer` says why.
        with suppress(ConnectionError):
            await self._to.drain()

    async def _answer(self) -> bytes:
        try:
            head = await self._from.readexactly(LENGTH_BYTES)
            return await self._from.readexactly(int.from_bytes(head, "big"))
        except asyncio.IncompleteReadError as error:
            raise await self._died() from error

    async def _died(self) -> ParquetDied:
        assert self._process.stderr is not None  # noqa: S101  it is a pipe
        said = await self._process.stderr.read()
        code = await self._process.wait()
        log.error("parquet_died", code=code, said=said.decode(errors="replace")[-COMPLAINT:])
        return ParquetDied(f"the process that writes Parquet ended with {code}")


def _plain(value: Any) -> Any:
    return (value - EPOCH) // MICROSECOND if isinstance(value, datetime) else value
