"""Where a system keeps its external subscribers, and how its NATS is told of them.

Two files: `subscribers.json` says who they are (with their passwords), `accounts.conf` what
nats-server is to know of it. In the embedded stack they lie in the data folder, in Compose in the
volume of credentials.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import msgspec
from imagesystem.permissions import ADMINISTRATOR

from local_stack import credentials, processes, state
from local_stack.accounts import Subscriber, render
from local_stack.errors import StackError
from local_stack.files import replace
from local_stack.nats_config import ACCOUNTS_FILE
from local_stack.ports import LOOPBACK
from local_stack.state import PartState

__all__ = ["ComposeHome", "EmbeddedHome", "Home", "keep", "load", "place"]

File: TypeAlias = Literal["subscribers.json", "accounts.conf"]
FOLDER = Path(ACCOUNTS_FILE).parent
_decoder = msgspec.json.Decoder(list[Subscriber])


class Home(Protocol):
    """The system that subscribers subscribe to, running."""

    @property
    def addresses(self) -> list[str]:
        """`host:port` of every NATS server."""

    def password(self) -> str:
        """Return the administrator's password."""

    def read(self, file: File) -> bytes:
        """Return a file, empty if there is none."""

    def write(self, file: File, content: bytes) -> None:
        """Replace a file at one stroke; only its owner may read it."""

    def reload(self) -> None:
        """Have every NATS server read its configuration again."""

    @property
    def lock(self) -> Path:
        """A file that exists, to be locked by whoever changes something."""


class EmbeddedHome:
    """The embedded stack that runs in `data_dir`; raises `StackError` when none does."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._servers()

    def _servers(self) -> list[PartState]:
        """Return the servers as they are now: one that died has another process."""
        known = state.read(self._data_dir)
        if known is None or known.phase == "stopped" or not processes.is_running(known.supervisor):
            raise StackError(
                f"no stack is running in {self._data_dir}: start one with `image-system up`"
            )
        return [part for part in known.parts if part.name.partition("-")[0] == "nats"]

    @property
    def addresses(self) -> list[str]:
        """See `Home.addresses`."""
        return [f"{LOOPBACK}:{part.port}" for part in self._servers()]

    @property
    def lock(self) -> Path:
        """See `Home.lock`."""
        return self._data_dir / FOLDER

    def password(self) -> str:
        """See `Home.password`."""
        path = self._data_dir / "credentials.json"
        return credentials.load_or_create(path).nats[ADMINISTRATOR]

    def read(self, file: File) -> bytes:
        """See `Home.read`."""
        path = self._data_dir / FOLDER / file
        return path.read_bytes() if path.exists() else b""

    def write(self, file: File, content: bytes) -> None:
        """See `Home.write`."""
        replace(self._data_dir / FOLDER / file, content)

    def reload(self) -> None:
        """See `Home.reload`; a server that does not run reads it when it starts."""
        for part in self._servers():
            if part.process is not None and processes.is_running(part.process):
                os.kill(part.process.pid, signal.SIGHUP)


class ComposeHome:
    """The Compose project of the `docker-compose.yml` in `folder`, running."""

    def __init__(self, folder: Path) -> None:
        self.lock = folder / "docker-compose.yml"
        if not self.lock.is_file():
            raise StackError(f"there is no docker-compose.yml in {folder}: go where it is")
        if shutil.which("docker") is None:
            raise StackError("there is no `docker` here: --compose needs Docker with Compose")
        self._folder = folder

    def _compose(self, *arguments: str, content: bytes | None = None) -> bytes:
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=self._folder,
            input=content,
            stdin=subprocess.DEVNULL if content is None else None,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise StackError(
                f"`docker compose {arguments[0]}` failed ({words[-1] if words else 'silent'}): "
                "is the system running? `docker compose ps` tells"
            )
        return done.stdout

    def _credentials(self, *arguments: str, content: bytes | None = None) -> bytes:
        run = ("run", "--rm", "--no-deps", "-T", "credentials", "python", "/credentials.py")
        return self._compose(*run, *arguments, content=content)

    @property
    def addresses(self) -> list[str]:
        """See `Home.addresses`."""
        return [self._compose("port", "nats", "4222").decode().strip()]

    def password(self) -> str:
        """See `Home.password`."""
        return self._credentials("show", f".nats-{ADMINISTRATOR}").decode().strip()

    def read(self, file: File) -> bytes:
        """See `Home.read`."""
        return self._credentials("show", file)

    def write(self, file: File, content: bytes) -> None:
        """See `Home.write`."""
        self._credentials("keep", file, content=content)

    def reload(self) -> None:
        """See `Home.reload`."""
        self._compose("kill", "--signal", "HUP", "nats")


@contextmanager
def keep(home: Home) -> Iterator[None]:
    """Let nobody else change the subscribers meanwhile; raises `StackError` if somebody does."""
    descriptor = os.open(home.lock, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StackError("somebody else is changing the subscribers: try again") from None
    finally:
        os.close(descriptor)


def load(content: bytes, where: str) -> list[Subscriber]:
    """Return the subscribers that `subscribers.json` says; raises `StackError` if it is damaged."""
    try:
        return _decoder.decode(content or b"[]")
    except msgspec.MsgspecError as error:
        raise StackError(f"{where} is damaged ({error}): restore it, or delete it") from error


def place(data_dir: Path, config: Path) -> None:
    """Lay out what the embedded nats-server reads: `config`, and the accounts beside it."""
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    kept = folder / "subscribers.json"
    known = load(kept.read_bytes() if kept.exists() else b"", str(kept))
    replace(data_dir / ACCOUNTS_FILE, render(known).encode())
    replace(data_dir / config.name, config.read_bytes())
