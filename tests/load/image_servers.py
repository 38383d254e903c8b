"""The servers of `just bench image`: ours and its peers, each on loopback, and what they cost."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import psutil
from local_stack.stack import Stack

from tests.conftest import free_port

__all__ = ["Case", "Server", "ours", "peers"]

PEERS = Path(__file__).parent / "peers"

THUMBOR = """
LOADER = "thumbor.loaders.file_loader"
FILE_LOADER_ROOT_PATH = "{root}"
STORAGE = "thumbor.storages.no_storage"
RESULT_STORAGE = "thumbor.result_storages.file_storage"
RESULT_STORAGE_FILE_STORAGE_ROOT_PATH = "{results}"
RESULT_STORAGE_STORES_UNSAFE = True
ENGINE_THREADPOOL_SIZE = 2
ALLOW_UNSAFE_URL = True
"""

NGINX = """
daemon off; user root; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; types {{ image/jpeg jpg; }}
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: pictures of `source` (a file extension), at most `side` on a side.

    `format` None: the original. `quality` 0: the format has none.
    """

    source: str
    format: str | None
    quality: int
    side: int = 512


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server under test: `path(name, case)` is what to ask for, `pids` are its processes."""

    name: str
    port: int
    path: Callable[[str, Case], str]
    pids: tuple[int, ...]

    def processes(self) -> list[psutil.Process]:
        """Return its processes and their children."""
        found = [psutil.Process(pid) for pid in self.pids]
        return found + [child for each in found for child in each.children(recursive=True)]

    def cpu_s(self) -> float:
        """Return the CPU seconds spent so far, children that ended included."""
        total = 0.0
        for process in self.processes():
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def rss_mb(self) -> float:
        """Return the memory that it holds now, in MB."""
        return sum(process.memory_info().rss for process in self.processes()) / 1e6


def _options(case: Case) -> str:
    quality = f"&quality={case.quality}" if case.quality else ""
    return f"width={case.side}&height={case.side}&fit=inside&format={case.format}{quality}"


def ours(stack: Stack, ids: Mapping[str, str]) -> list[Server]:
    """Return the image service itself, and as it is through the one port.

    `ids`: image ids by file name. NATS, which hands out the originals, is counted with it.
    """
    own, nats = stack.parts["image"].pid, stack.parts["nats"].pid
    traefik = stack.parts["traefik"].pid
    assert own
    assert nats
    assert traefik

    def path(name: str, case: Case) -> str:
        options = f"?{_options(case)}" if case.format else ""
        return f"/image/images/{ids[name]}{options}"

    return [
        Server(name="image", port=stack.plan.ports["image"], path=path, pids=(own, nats)),
        Server(
            name="image via traefik",
            port=int(stack.url.rpartition(":")[2]),
            path=path,
            pids=(own, nats, traefik),
        ),
    ]


@asynccontextmanager
async def peers(root: Path) -> AsyncIterator[list[Server]]:
    """Start thumbor and IPX (and nginx, where it is installed) over the files in `root`."""
    await asyncio.to_thread(_install)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = [
            await stack.enter_async_context(_thumbor(root, folder)),
            await stack.enter_async_context(_ipx(root)),
        ]
        if shutil.which("nginx"):
            found.append(await stack.enter_async_context(_nginx(root, folder)))
        yield found


def _install() -> None:
    if not (PEERS / ".venv").exists():
        subprocess.run(["uv", "sync", "-q", "--project", PEERS], check=True)
    if not (PEERS / "node_modules").exists():
        subprocess.run(["npm", "ci", "--silent"], cwd=PEERS, check=True)


@asynccontextmanager
async def _thumbor(root: Path, folder: Path) -> AsyncIterator[Server]:
    port = free_port()
    config = folder / "thumbor.conf"
    config.write_text(THUMBOR.format(root=root, results=folder / "results"))
    command = [PEERS / ".venv/bin/thumbor", "-i", "127.0.0.1", "-p", str(port), "-c", config]

    def path(name: str, case: Case) -> str:
        if case.format is None:
            return f"/unsafe/{name}"
        quality = f":quality({case.quality})" if case.quality else ""
        filters = f"filters:format({case.format}){quality}"
        return f"/unsafe/fit-in/{case.side}x{case.side}/{filters}/{name}"

    async with _running(command, port, "/healthcheck") as pid:
        yield Server(name="thumbor", port=port, path=path, pids=(pid,))


@asynccontextmanager
async def _ipx(root: Path) -> AsyncIterator[Server]:
    port = free_port()
    ipx = PEERS / "node_modules/ipx/bin/ipx.mjs"
    command = ["node", ipx, "serve", "--dir", root, "--host", "127.0.0.1", "--port", str(port)]

    def path(name: str, case: Case) -> str:
        if case.format is None:
            return f"/_/{name}"
        quality = f",q_{case.quality}" if case.quality else ""
        return f"/s_{case.side}x{case.side},fit_inside,f_{case.format}{quality}/{name}"

    async with _running(command, port, "/") as pid:
        yield Server(name="ipx", port=port, path=path, pids=(pid,))


@asynccontextmanager
async def _nginx(root: Path, folder: Path) -> AsyncIterator[Server]:
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, root=root))
    async with _running(["nginx", "-c", config, "-p", folder], port, "/") as pid:
        yield Server(name="nginx", port=port, path=lambda name, _case: f"/{name}", pids=(pid,))


@asynccontextmanager
async def _running(command: list[str | Path], port: int, probe: str) -> AsyncIterator[int]:
    """Run a server until the block is left; it answers when the block begins."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            async with httpx.AsyncClient() as http, asyncio.timeout(60):
                while True:
                    try:
                        await http.get(f"http://127.0.0.1:{port}{probe}")
                        break
                    except httpx.TransportError:
                        if process.returncode is not None:
                            log.seek(0)
                            raise RuntimeError(log.read().decode()[-2000:]) from None
                        await asyncio.sleep(0.1)
            yield process.pid
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
