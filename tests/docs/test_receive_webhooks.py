"""The receiver that the how-to shows believes what is signed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from metadata_service.webhooks.signing import new_secret, signed_headers

from tests.conftest import free_port, wait_for_port
from tests.docs.pages import ROOT, blocks

SECRET = new_secret()
BODY = msgspec.json.encode({"type": "images.v1.uploaded", "subject": "some-image", "id": "1"})


class Receiver:
    def __init__(self, url: str, output: Path) -> None:
        self.url, self.output = url, output

    def post(self, headers: dict[str, str], body: bytes = BODY) -> int:
        return httpx.post(self.url, headers=headers, content=body).status_code


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    (program,) = (
        block.text
        for block in blocks(ROOT / "docs/how-to/receive-webhooks.md")
        if block.note == "saved as: receiver.py"
    )
    (tmp_path / "receiver.py").write_text(program)
    port, output = free_port(), tmp_path / "output"
    environ = os.environ | {"WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, tmp_path / "receiver.py"], env=environ, stdout=file, stderr=file
        )
    try:
        wait_for_port(port, process, output)
        yield Receiver(f"http://127.0.0.1:{port}/", output)
    finally:
        process.kill()
        process.wait(30)


def test_what_is_signed_is_believed_once(receiver: Receiver) -> None:
    headers = signed_headers(SECRET, "one", int(time.time()), BODY)
    assert receiver.post(headers) == 204
    assert receiver.post(headers) == 204
    assert receiver.output.read_text().count("images.v1.uploaded some-image") == 1


def test_nothing_else_is(receiver: Receiver) -> None:
    now = int(time.time())
    good = signed_headers(SECRET, "one", now, BODY)
    assert receiver.post(good, BODY + b" ") == 401
    assert receiver.post({**good, "webhook-id": "two"}) == 401
    assert receiver.post({**good, "webhook-timestamp": str(now + 1)}) == 401
    assert receiver.post(signed_headers(new_secret(), "one", now, BODY)) == 401
    assert receiver.post(signed_headers(SECRET, "one", now - 3600, BODY)) == 401
    assert receiver.post({}) == 401
    assert "uploaded" not in receiver.output.read_text()
