"""`up --detach` and `down`: a stack that runs on by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from local_stack import processes, state
from local_stack.errors import StackError
from local_stack.planning import prepare_folder
from local_stack.state import StackState

__all__ = ["down", "up"]

_POLL_S = 0.1
_DOWN_S = 120.0


def up(
    data_dir: Path, arguments: Sequence[str], changed: Callable[[StackState], None]
) -> StackState:
    """Start `image-system up ARGUMENTS` in a session of its own; return once it is ready.

    Its log goes to `logs/supervisor.log`. `changed` is called with each new state. Raises
    `StackError` with what the stack said when it could not start.
    """
    prepare_folder(data_dir)
    complaints = data_dir / "logs" / "up.stderr"
    with complaints.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "local_stack", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        return _until_running(process, data_dir, complaints, changed)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise


def _until_running(
    process: subprocess.Popen[bytes],
    data_dir: Path,
    complaints: Path,
    changed: Callable[[StackState], None],
) -> StackState:
    shown: StackState | None = None
    while process.poll() is None:
        now = state.read(data_dir)
        # a state with another pid is from before
        if now is not None and now.supervisor.pid == process.pid and now != shown:
            changed(now)
            shown = now
            if now.phase == "running":
                return now
        time.sleep(_POLL_S)
    lines = complaints.read_text(errors="replace").strip().splitlines()
    said = lines[-1] if lines else f"exit status {process.returncode}"
    raise StackError(said.removeprefix("image-system: "))


def down(data_dir: Path) -> bool:
    """Stop the stack in `data_dir`, and what one that died left behind.

    Returns whether there was anything to stop. Raises `StackError` if it does not end.
    """
    known = state.read(data_dir)
    if known is None:
        return False
    was_running = known.phase != "stopped" and processes.is_running(known.supervisor)
    if was_running:
        with suppress(ProcessLookupError):
            os.kill(known.supervisor.pid, signal.SIGTERM)
        deadline = time.monotonic() + _DOWN_S
        while processes.is_running(known.supervisor):
            if time.monotonic() > deadline:
                raise StackError(
                    f"the stack in {data_dir} is still stopping after {_DOWN_S:g} s: look into "
                    f"{data_dir / 'logs'}, or end process {known.supervisor.pid} yourself"
                )
            time.sleep(_POLL_S)
        known = state.read(data_dir) or known
    left = processes.end_leftovers([part.process for part in known.parts if part.process])
    return was_running or bool(left)
