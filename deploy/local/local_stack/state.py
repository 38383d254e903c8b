"""What a running stack says about itself, in `state.json` of its data folder."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, Literal, TypeAlias

import msgspec

from local_stack.errors import StackError
from local_stack.processes import Identity

__all__ = ["PartState", "PartStatus", "Phase", "StackState", "hold", "read", "write"]

#: `waiting`: for the parts it depends on; `starting`: not ready yet; `ready`; `unready`: it was
#: ready before; `restarting`: it died and will be started again; `held`: stopped on purpose.
PartStatus: TypeAlias = Literal[
    "waiting", "starting", "ready", "unready", "restarting", "held", "stopping", "stopped"
]
Phase: TypeAlias = Literal["starting", "running", "stopping", "stopped"]


class PartState(msgspec.Struct, kw_only=True):
    """One part: `probe` is the URL that says whether it is ready, `detail` why it is not."""

    name: str
    status: PartStatus = "waiting"
    detail: str = ""
    version: str = ""
    process: Identity | None = None
    port: int
    probe: str
    restarts: int = 0

    @property
    def pid(self) -> int | None:
        """The process id, None while it does not run."""
        return self.process.pid if self.process else None


class StackState(msgspec.Struct, kw_only=True):
    """The stack of one data folder. Holds no passwords."""

    phase: Phase
    supervisor: Identity
    url: str
    nats_port: int
    parts: list[PartState]


def read(data_dir: Path) -> StackState | None:
    """Return the last state written in `data_dir`, None if there is none to be read."""
    try:
        return msgspec.json.decode((data_dir / "state.json").read_bytes(), type=StackState)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None


def write(data_dir: Path, state: StackState) -> None:
    """Replace the state in `data_dir` at one stroke."""
    draft = data_dir / "state.json.new"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
    draft.replace(data_dir / "state.json")


def hold(data_dir: Path) -> IO[bytes]:
    """Take `data_dir` for this process until the returned file is closed or the process ends.

    Raises `StackError` when a stack runs there already.
    """
    lock = (data_dir / "lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StackError(
            f"a stack is running in {data_dir} already: see `image-system status`, stop it with "
            "`image-system down`, or choose another --data-dir"
        ) from None
    return lock
