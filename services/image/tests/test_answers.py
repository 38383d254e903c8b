from __future__ import annotations

import asyncio
from typing import Any

import pytest
from image_service.answers import Streamed
from imagesystem.errors import ObjectMissing


class Source:
    """Pieces, of which the last may be a failure; knows whether it was closed."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.left = list(pieces)
        self.closed = False

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        if not self.left:
            raise StopAsyncIteration
        piece = self.left.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def aclose(self) -> None:
        self.closed = True


class Client:
    """An ASGI client that may leave after so many pieces."""

    def __init__(self, leaves_after: int | None = None) -> None:
        self.leaves_after = leaves_after
        self.gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if not self.sent:
            await asyncio.sleep(0)
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if self.leaves_after == len(self.sent) - 1:
            self.gone.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def complete(self) -> bool:
        return self.sent[-1].get("more_body") is False


async def streamed(source: Source, client: Client) -> None:
    headers = {"content-type": "image/jpeg", "content-length": "6"}
    before = asyncio.all_tasks()
    await Streamed(source, headers=headers, status_code=200)({}, client.receive, client.send)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_pieces_go_out_in_order_and_the_source_is_closed():
    source, client = Source(b"ab", b"cd", b"ef"), Client()
    await streamed(source, client)
    assert client.sent[0]["status"] == 200
    assert (client.body, client.complete, source.closed) == (b"abcdef", True, True)


async def test_a_source_that_fails_leaves_the_answer_unfinished():
    source, client = Source(b"ab", b"cd", ObjectMissing("gone")), Client()
    await streamed(source, client)
    assert (client.body, client.complete, source.closed) == (b"ab", False, True)


async def test_a_digest_that_is_wrong_at_the_end_leaves_the_answer_unfinished():
    source, client = Source(b"abcdef", ObjectMissing("digest")), Client()
    await streamed(source, client)
    assert (client.body, client.complete) == (b"", False)


async def test_one_piece_is_one_message():
    client = Client()
    await streamed(Source(b"abcdef"), client)
    assert [message["type"] for message in client.sent] == [
        "http.response.start",
        "http.response.body",
    ]


async def test_a_client_that_leaves_ends_the_reading():
    source, client = Source(*[b"x"] * 1000), Client(leaves_after=3)
    await streamed(source, client)
    assert source.closed
    assert len(source.left) > 900


async def test_a_fault_of_ours_is_not_hidden():
    source, client = Source(b"ab", RuntimeError("a bug")), Client()
    with pytest.raises(RuntimeError):
        await streamed(source, client)
    assert source.closed
