"""A real server on a socket: bodies that stop in the middle, or have no end."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from imagesystem.memory import MemoryPlatform
from registry_service.app import create_app
from registry_service.settings import Settings

pytestmark = pytest.mark.integration

Samples = dict[str, bytes]
MIB = 1024 * 1024


class Serving:
    """A server, its platform, the folder it spools to, and a client."""

    def __init__(self, folder: Path, port: int, http: httpx.AsyncClient) -> None:
        self.platform, self.folder, self.port, self.http = MemoryPlatform(), folder, port, http

    def nothing_left(self) -> None:
        assert self.platform.bus.log == {}
        assert self.platform.bucket("originals").used_bytes == 0
        self.no_files()

    def no_files(self) -> None:
        assert list(self.folder.iterdir()) == []
        assert [name for name in open_files() if str(self.folder) in name] == []

    async def talk(self, *pieces: bytes, half_close: bool = False) -> bytes:
        """Send raw bytes, then close; returns what came back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if half_close:
            writer.write_eof()
            return await reader.read()
        writer.close()
        await writer.wait_closed()
        return b""

    async def idle(self) -> None:
        """Return once the server has given up every body (its metric counts what it answered)."""
        async with asyncio.timeout(30):
            while [name for name in open_files() if str(self.folder) in name]:
                await asyncio.sleep(0.01)


def open_files() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(entry.readlink()))
        except OSError:
            continue  # closed since it was listed
    return found


@asynccontextmanager
async def serving(folder: Path, **settings: object) -> AsyncIterator[Serving]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            started = Serving(folder, port, http)
            app = create_app(
                Settings(spool_dir=str(folder), **settings),  # type: ignore[arg-type]
                started.platform.connect,
            )
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
            running = asyncio.create_task(server.serve(sockets=[listening]))
            while not server.started:
                assert not running.done()
                await asyncio.sleep(0.01)
            yield started
            server.should_exit = True
            await running


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path, spool_bytes=10_000) as started:
        yield started


def request(method: str, *headers: str) -> bytes:
    lines = [f"{method} /registry/upload HTTP/1.1", "Host: test", *headers, "", ""]
    return "\r\n".join(lines).encode()


FORM = "Content-Type: multipart/form-data; boundary=b"
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'


async def test_a_real_upload(server: Serving, samples: Samples) -> None:
    data = samples["jpeg"] + os.urandom(3 * MIB)
    answer = await server.http.post("/registry/upload", files={"file": ("a.jpg", data)})
    assert answer.status_code == 201
    image_id = answer.json()["id"]
    assert (await server.platform.bucket("originals").get(image_id))[1] == data
    server.no_files()


@pytest.mark.parametrize("half_close", [False, True])
@pytest.mark.parametrize("way", ["form", "raw", "chunked", "batch"])
async def test_a_client_that_stops_in_the_middle(
    server: Serving,
    samples: Samples,
    caplog: pytest.LogCaptureFixture,
    way: str,
    half_close: bool,
) -> None:
    data = samples["jpeg"] + bytes(100_000)
    sent = {
        "form": request("POST", "Content-Length: 900000", FORM) + HEAD + data,
        "batch": request("POST", "Content-Length: 900000", FORM).replace(b"upload", b"batch")
        + (HEAD + samples["png"] + b"\r\n") * 2
        + HEAD
        + data,
        "raw": request("PUT", "Content-Length: 900000") + data,
        "chunked": request("PUT", "Transfer-Encoding: chunked") + b"20000\r\n" + data,
    }[way]
    back = await server.talk(sent, half_close=half_close)
    assert b" 500 " not in back
    await server.idle()
    # the server still serves, and answers only what was whole
    answer = await server.http.get("/registry/health")
    assert answer.status_code == 200
    server.nothing_left()
    assert "Traceback" not in caplog.text


async def test_sixty_mebibytes_without_a_length(server: Serving, samples: Samples) -> None:
    async def endless(head: bytes) -> AsyncIterator[bytes]:
        yield head
        for _ in range(60):
            yield bytes(MIB)

    answer = await server.http.put("/registry/upload", content=endless(samples["jpeg"]))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.json()["limit"] == "MAX_UPLOAD_BYTES"
    assert answer.json()["allowed"] == 50 * MIB
    answer = await server.http.post(
        "/registry/upload",
        content=endless(HEAD + samples["jpeg"]),
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    server.nothing_left()


async def test_sixty_mebibytes_with_a_length_are_not_even_received(server: Serving) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request("PUT", f"Content-Length: {60 * MIB}", "Expect: 100-continue"))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()
    answer = await server.http.post("/registry/upload", files={"file": ("a", bytes(60 * MIB))})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    server.nothing_left()


async def test_a_body_that_no_longer_comes_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path, idle_timeout_s=0.05) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("PUT", "Content-Length: 900000") + b"\xff\xd8\xff")
        back = await reader.read()
        assert back.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"body_timeout"' in back
        writer.close()
        await writer.wait_closed()
        server.nothing_left()


async def test_more_uploads_than_turns_wait_for_one(tmp_path: Path, samples: Samples) -> None:
    pictures = [samples["jpeg"] + bytes([n]) * 50_000 for n in range(20)]
    async with serving(
        tmp_path, max_concurrent_uploads=2, spool_bytes=1000, max_concurrent_validations=1
    ) as server:
        answers = await asyncio.gather(
            *(server.http.put("/registry/upload", content=data) for data in pictures)
        )
        assert [answer.status_code for answer in answers] == [201] * 20
        server.no_files()


async def test_a_turn_that_never_comes_is_unavailable(tmp_path: Path, samples: Samples) -> None:
    async with serving(tmp_path, max_concurrent_uploads=1, idle_timeout_s=0.3) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("PUT", "Transfer-Encoding: chunked"))
        dripping = asyncio.create_task(drip(writer))
        answer = await server.http.put("/registry/upload", content=samples["png"])
        while answer.status_code == 201:  # it came before the other
            answer = await server.http.put("/registry/upload", content=samples["png"])
        assert answer.status_code in (200, 503)
        while answer.status_code == 200:
            answer = await server.http.put("/registry/upload", content=samples["png"])
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"]
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()
        await writer.wait_closed()


async def drip(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)
