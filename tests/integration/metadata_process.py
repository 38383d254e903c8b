"""The metadata service as a process of its own, with NATS and without MongoDB."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.platform import Platform, connect
from imagesystem.settings import ServiceSettings

from tests.conftest import Server, free_port, wait_for_port


class MetadataProcess(Server):
    """May be killed, told to stop, and started again on the same port."""

    def __init__(self, nats_url: str, folder: Path, settings: dict[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__([sys.executable, "-m", "metadata_service"], free_port(), folder)
        self._environment = os.environ | {
            "NATS_URL": nats_url,
            "HTTP_PORT": str(self.port),
            "MONGODB_URL": f"mongodb://127.0.0.1:{free_port()}",  # nobody there
            "MONGODB_SELECT_TIMEOUT_S": "0.2",
            **settings,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=self._environment
            )
        for tries_left in (5, 4, 3, 2, 1, 0):  # imports alone may take long on a busy machine
            try:
                wait_for_port(self.port, self.process, self.log)
            except RuntimeError:
                if not tries_left or self.process.poll() is not None:
                    raise
            else:
                return

    def stop(self) -> None:
        """Tell it to stop, and return once it has (it ends by the signal that told it)."""
        assert isinstance(self.process, subprocess.Popen)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) in (0, -signal.SIGTERM)

    @property
    def cpu_s(self) -> float:
        """The processor time it has taken."""
        assert isinstance(self.process, subprocess.Popen)
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_bytes(self) -> int:
        """What it has in memory."""
        assert isinstance(self.process, subprocess.Popen)
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def metadata_process(nats_url: str, folder: Path, **settings: str) -> Iterator[MetadataProcess]:
    process = MetadataProcess(nats_url, folder, settings)
    try:
        process.start()
        yield process
    finally:
        process.close()


@asynccontextmanager
async def registry(nats_url: str) -> AsyncIterator[Platform]:
    """The owner of the streams, who says what is uploaded."""
    settings = ServiceSettings(nats_url=nats_url)
    async with connect(settings, Health("registry"), Metrics()) as platform:
        yield platform


def browser(process: MetadataProcess) -> httpx.AsyncClient:
    """Return a client that may keep as many connections as it likes."""
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=process.url, limits=limits, timeout=30)
