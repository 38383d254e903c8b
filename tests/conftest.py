"""The real servers that tests run against, on free loopback ports."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BINARIES = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        # bounded polling of a start-up, not a guess at how long it takes
        process_wait(process, 0.05)
    raise RuntimeError(f"nothing listens on {port}: {log.read_text()[-2000:]}")


def process_wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


class Server:
    """A server process that a test may kill and start again on the same port and data."""

    def __init__(self, command: list[str], port: int, folder: Path) -> None:
        self.command, self.port, self.folder = command, port, folder
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_for_port(self.port, self.process, self.log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)


@contextlib.contextmanager
def nats_server(folder: Path, *more: str) -> Iterator[Server]:
    port = free_port()
    command = [str(BINARIES / "nats-server"), "-a", "127.0.0.1", "-p", str(port)]
    server = Server([*command, "-js", "-sd", str(folder / "js"), *more], port, folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def mongo_server(folder: Path) -> Iterator[Server]:
    spec = importlib.util.find_spec("fiftyone")
    assert spec is not None
    assert spec.submodule_search_locations
    binary = Path(next(iter(spec.submodule_search_locations))) / "db" / "bin" / "mongod"
    data = folder / "db"
    data.mkdir(exist_ok=True)
    port = free_port()
    command = [str(binary), "--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", str(data)]
    command += ["--nounixsocket", "--networkMessageCompressors", "disabled"]
    server = Server([*command, "--wiredTigerCacheSizeGB", "0.25"], port, folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A nats-server with JetStream and no credentials, for everything that shares one."""
    with nats_server(tmp_path_factory.mktemp("nats")) as server:
        yield f"nats://127.0.0.1:{server.port}"


@pytest.fixture(scope="session")
def mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mongod without credentials."""
    with mongo_server(tmp_path_factory.mktemp("mongo")) as server:
        yield f"mongodb://127.0.0.1:{server.port}"
