"""A NATS client that copies large messages once on their way in, and not on their way out.

With objects in chunks of 128 KiB, copying is most of the time that nats-py takes. This client
is nats-py's with another transport, another parser, another way to queue a large publish, and a
flush that confirms what was queued before it; everything else, reconnecting included, is
inherited. It reaches into what nats-py keeps to itself, so the contract suites run on it; every
bucket works with nats-py's own client as well.
"""

from __future__ import annotations

import asyncio
from typing import Any

from nats.aio.client import PING_PROTO, Client

from imagesystem.objects.frames import CRLF, Frames
from imagesystem.objects.transport import Wire

__all__ = ["WireClient"]

#: Payloads from this size on are queued as they are.
LARGE_BYTES = 16 * 1024


class WireClient(Client):
    """`nats.aio.client.Client`, faster with large messages (TCP and TLS, not WebSocket)."""

    def __init__(self) -> None:
        super().__init__()
        self._ps = Frames(self)
        self._transport = Wire()

    async def _send_publish(
        self,
        subject: str,
        reply: str,
        payload: bytes | memoryview,
        payload_size: int,
        headers: dict[str, Any] | None,
    ) -> None:
        plain = payload_size < LARGE_BYTES or isinstance(payload, bytearray)
        if plain or not all(key.replace("-", "").isalnum() for key in headers or ()):
            await super()._send_publish(
                subject,
                reply,
                payload,  # type: ignore[arg-type]  # it is only measured and copied
                payload_size,
                headers,
            )
            return
        if headers:
            lines = "".join(f"{key}: {_line(value)}\r\n" for key, value in headers.items())
            head = f"NATS/1.0\r\n{lines}\r\n".encode()
            size = len(head) + payload_size
            command = f"HPUB {subject} {reply} {len(head)} {size}\r\n".encode() + head
        else:
            command = f"PUB {subject} {reply} {payload_size}\r\n".encode()
        self.stats["out_msgs"] += 1
        self.stats["out_bytes"] += payload_size
        # In one go: nothing may come between the parts of a message.
        self._pending += [command, payload]  # type: ignore[list-item]
        self._pending_data_size += len(command) + payload_size
        await self._send_command(CRLF)
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        # nats-py writes a ping past what is queued, so that its answer says nothing about a
        # subscription just made or ended: one in thirty flushes came too early (tried)
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        await self._send_command(PING_PROTO)
        await self._flush_pending()

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        found = {}
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            name, separator, value = line.partition(":")
            if separator:
                found[name.strip()] = value.strip()
        return found


def _line(value: str) -> str:
    return value.strip().replace("\r", " ").replace("\n", " ")
