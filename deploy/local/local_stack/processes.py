"""Processes by their identity: a pid alone may long belong to somebody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec

__all__ = ["Identity", "end_leftovers", "identify", "is_running"]

_POLL_S = 0.05


class Identity(msgspec.Struct, frozen=True):
    """A process: its pid and when it began (opaque; equal only for the same process)."""

    pid: int
    began: str


def _began(pid: int) -> str | None:
    if sys.platform == "linux":
        try:
            # proc(5): after the name in parentheses come state (3) … starttime (22), in ticks
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    answer = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or None


def identify(pid: int) -> Identity | None:
    """Return the identity of the process `pid`, or None when there is none (or a zombie)."""
    began = _began(pid)
    return Identity(pid, began) if began else None


def is_running(process: Identity | None) -> bool:
    """Whether this very process still runs."""
    return process is not None and identify(process.pid) == process


def _signal_group(process: Identity, number: signal.Signals) -> None:
    """Signal the process and what it started (each part leads a process group of its own)."""
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)


def end_leftovers(processes: list[Identity], patience_s: float = 15.0) -> list[int]:
    """Stop those of `processes` that still run: SIGTERM, then SIGKILL after `patience_s`.

    Returns the pids that were running. Processes that merely have the same pid are left alone.
    """
    left = [process for process in processes if is_running(process)]
    for process in left:
        _signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while any(map(is_running, left)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for process in left:
        if is_running(process):
            _signal_group(process, signal.SIGKILL)
    while any(map(is_running, left)):
        time.sleep(_POLL_S)
    return [process.pid for process in left]
