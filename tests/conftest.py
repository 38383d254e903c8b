"""The real servers that tests run against, on free loopback ports.

`--backend=containers` (or `TEST_BACKEND=containers`) runs them in containers.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.servers import (
    MONGODB_IMAGE,
    NATS_IMAGE,
    ContainerProcess,
    require_engine,
)

BINARIES = Path(sys.executable).parent
BACKEND = "TEST_BACKEND"
#: Markers of tests that need servers, and what shares one process with them.
GROUPS = {
    "e2e": "stacks",
    "faults": "stacks",
    "containers": "stacks",
    "contract": "servers",
    "integration": "servers",
}

Process = subprocess.Popen[bytes] | ContainerProcess


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        choices=("embedded", "containers"),
        default=os.environ.get(BACKEND, "embedded"),
        help="where NATS and MongoDB of integration and contract tests run",
    )


def pytest_configure(config: pytest.Config) -> None:
    # by the environment: tests of services import this module, and are run without it as well
    os.environ[BACKEND] = config.getoption("--backend")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n`, what needs the same servers runs in one process: they are started once."""
    for item in items:
        group = next((GROUPS[name] for name in GROUPS if item.get_closest_marker(name)), None)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))


def in_containers() -> bool:
    return os.environ.get(BACKEND) == "containers"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: Process, log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        # bounded polling of a start-up, not a guess at how long it takes
        process_wait(process, 0.05)
    raise RuntimeError(f"nothing listens on {port}: {log.read_text()[-2000:]}")


def process_wait(process: Process, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


class Server:
    """A server process that a test may kill and start again on the same port and data."""

    def __init__(self, command: list[str], port: int, folder: Path) -> None:
        self.command, self.port, self.folder = command, port, folder
        self.log = folder / "server.log"
        self.process: Process | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_for_port(self.port, self.process, self.log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def close(self) -> None:
        if self.process is not None:
            self.kill()


class ContainerServer(Server):
    """The same in a container, which keeps its data until it is closed."""

    def __init__(
        self, image: str, command: list[str], port: int, folder: Path, *, mount: bool
    ) -> None:
        super().__init__(command, port, folder)
        self.log.touch()
        self.process = ContainerProcess(image, command, folder if mount else None)

    def start(self) -> None:
        assert isinstance(self.process, ContainerProcess)
        self.process.start()
        try:
            wait_for_port(self.port, self.process, self.log)
        except RuntimeError as error:
            raise RuntimeError(self.process.logs()[-2000:]) from error

    def close(self) -> None:
        assert isinstance(self.process, ContainerProcess)
        self.process.remove()


@contextlib.contextmanager
def nats_server(folder: Path, *more: str) -> Iterator[Server]:
    port = free_port()
    flags = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "js"), *more]
    server = (
        container(NATS_IMAGE, ["nats-server", *flags], port, folder, mount=True)
        if in_containers()
        else Server([str(BINARIES / "nats-server"), *flags], port, folder)
    )
    try:
        server.start()
        yield server
    finally:
        server.close()


def container(
    image: str, command: list[str], port: int, folder: Path, *, mount: bool
) -> ContainerServer:
    require_engine()
    return ContainerServer(image, command, port, folder, mount=mount)


def mongod(folder: Path) -> list[str]:
    """Return the program of the embedded stack, on data in `folder`."""
    spec = importlib.util.find_spec("fiftyone")
    assert spec is not None
    assert spec.submodule_search_locations
    binary = Path(next(iter(spec.submodule_search_locations))) / "db" / "bin" / "mongod"
    data = folder / "db"
    data.mkdir(exist_ok=True)
    return [str(binary), "--dbpath", str(data)]


@contextlib.contextmanager
def mongo_server(folder: Path, *more: str, cache_gb: float = 0.25) -> Iterator[Server]:
    port = free_port()
    flags = ["--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket"]
    flags += ["--networkMessageCompressors", "disabled"]
    flags += ["--wiredTigerCacheSizeGB", str(cache_gb), *more]
    server = (
        # without the folder: in the image mongod is a user who cannot get there
        container(MONGODB_IMAGE, ["mongod", *flags], port, folder, mount=False)
        if in_containers()
        else Server([*mongod(folder), *flags], port, folder)
    )
    try:
        server.start()
        yield server
    finally:
        server.close()


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
