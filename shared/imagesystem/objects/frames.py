"""The NATS protocol, read from what was received in place; a payload is copied once.

nats-py's parser collects everything in one buffer and cuts each payload out of it twice.
"""

from __future__ import annotations

from typing import NamedTuple

from nats.errors import ProtocolError
from nats.protocol.parser import Parser

__all__ = ["Frames"]

#: The longest line: INFO lists every server of a cluster.
LINE_BYTES = 1024**2
CRLF = b"\r\n"


class _Frame(NamedTuple):
    """The first line of a message: sizes in bytes, `size` that of headers and payload."""

    subject: bytes
    sid: int
    reply: bytes
    headers: int
    size: int


def _frame(line: bytes) -> _Frame:
    fields = line.split()
    with_headers = line.startswith(b"H")
    try:
        headers = int(fields[-2]) if with_headers else 0
        reply = fields[3] if len(fields) == 5 + with_headers else b""
        return _Frame(fields[1], int(fields[2]), reply, headers, int(fields[-1]))
    except (IndexError, ValueError) as error:
        raise ProtocolError("nats: malformed MSG") from error


def _split(parts: list[memoryview], headers: int, size: int) -> tuple[bytes, bytes]:
    """Cut the headers off the front and the line's end off the back."""
    if len(parts[0]) < headers or len(parts[-1]) < len(CRLF):
        whole = b"".join(parts)
        return whole[:headers], whole[headers:size]
    head = bytes(parts[0][:headers])
    parts[0], parts[-1] = parts[0][headers:], parts[-1][: -len(CRLF)]
    return head, b"".join(parts)


class Frames(Parser):
    """nats-py's `Parser` for everything but messages."""

    _epoch = 0

    def reset(self) -> None:
        """Forget what a lost connection had begun."""
        super().reset()
        self._epoch += 1
        self._cut = b""
        self._frame: _Frame | None = None
        self._parts: list[memoryview] = []
        self._missing = 0

    async def parse(self, data: bytes = b"") -> None:
        """Take what was received; messages and answers go to the client."""
        epoch, start = self._epoch, 0
        if self._cut:
            data, self._cut = self._cut + data, b""
        while start < len(data) and epoch == self._epoch:
            if self._frame is None:
                end = data.find(CRLF, start)
                if end < 0:
                    self._cut = data[start:]
                    if len(self._cut) > LINE_BYTES:
                        raise ProtocolError("nats: a line without an end")
                    return
                line, start = data[start:end], end + len(CRLF)
                if not line.startswith((b"MSG ", b"HMSG ")):
                    await super().parse(line + CRLF)
                    continue
                self._frame = _frame(line)
                self._missing = self._frame.size + len(CRLF)
            start = await self._take(self._frame, data, start)

    async def _take(self, frame: _Frame, data: bytes, start: int) -> int:
        """Use the bytes from `start` on for the message; return where they end."""
        end = start + self._missing
        if end > len(data):
            self._parts.append(memoryview(data)[start:])
            self._missing = end - len(data)
            return len(data)
        if self._parts:
            parts, self._parts = [*self._parts, memoryview(data)[start:end]], []
            head, payload = _split(parts, frame.headers, frame.size)
        else:
            head = data[start : start + frame.headers]
            payload = data[start + frame.headers : start + frame.size]
        self._frame = None
        # What the parser that this one stands in for calls as well.
        await self.nc._process_msg(  # noqa: SLF001
            frame.sid, frame.subject, frame.reply, payload, head or None
        )
        return end
