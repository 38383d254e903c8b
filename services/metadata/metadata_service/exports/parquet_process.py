"""The program that writes Parquet: rows on its standard input, the file on its standard output.

A process of its own because pyarrow cannot live in one that has loaded usearch, the index of
vectors: usearch's wheel brings a C++ library within it and exports that library's unique symbols,
pyarrow's regular expressions then find the wrong locale, and the process ends (usearch 2.26 with
pyarrow 25 and 26, Linux). In its smallest form::

    python -c 'import usearch.index, pyarrow; pyarrow.lib.string_to_tzinfo("UTC")'

So nothing of the service may be imported here.

Both ways go frames: four bytes of length, highest first, and as many bytes. The first frame in is
the columns, JSON `[[name, type], …]`; each after it rows by column, JSON `{name: [value, …]}`, and
an empty one ends the file. Each but the first is answered by a frame with what the file grew by.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["LENGTH"]

#: The length before each frame.
LENGTH = struct.Struct(">I")
#: A row group is written when it has so many rows, or came in so many bytes.
GROUP_ROWS, GROUP_BYTES = 10_000, 8 * 1024 * 1024
#: Times are numbers of microseconds since 1970.
TYPES = {
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "whole": pa.int64(),
    "number": pa.float64(),
    "truth": pa.bool_(),
    "moment": pa.timestamp("us", "UTC"),
}


class _Grown:
    """A file to write to that keeps only what nobody has taken yet."""

    closed = False

    def __init__(self) -> None:
        self._held = bytearray()
        self._taken = 0

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def tell(self) -> int:
        return self._taken + len(self._held)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._taken += len(taken)
        self._held.clear()
        return taken


def _frame(source: BinaryIO) -> bytes | None:
    """Return the next frame; None if whoever wrote has gone away."""
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = source.read(length)
    return body if len(body) == length else None


def _answer(sink: BinaryIO, body: bytes) -> None:
    sink.write(LENGTH.pack(len(body)))
    sink.write(body)
    sink.flush()


def _write(source: BinaryIO, sink: BinaryIO) -> None:
    columns = _frame(source)
    if columns is None:
        return
    schema = pa.schema([(name, TYPES[kind]) for name, kind in json.loads(columns)])
    grown, waiting, came = _Grown(), [], 0
    with pq.ParquetWriter(pa.PythonFile(grown, "w"), schema, compression="zstd") as writer:
        while body := _frame(source):
            came += len(body)
            waiting.append(pa.RecordBatch.from_pydict(json.loads(body), schema=schema))
            if came >= GROUP_BYTES or sum(batch.num_rows for batch in waiting) >= GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting, came = [], 0
            _answer(sink, grown.take())
        if body is None:  # nobody wants the rest
            return
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))
    _answer(sink, grown.take())


def _main() -> None:
    pa.set_cpu_count(1)
    # What is freed goes back to the machine: a process writes one file, and others are beside it.
    pa.set_memory_pool(pa.system_memory_pool())
    _write(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    _main()
