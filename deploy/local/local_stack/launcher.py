"""Becomes the program of one part: `launcher.py PARENT SOCKET_NAME PROGRAM [ARGUMENT…]`.

Runs alone (`python -I -S launcher.py`), between the supervisor's fork and the program's exec,
for two things that have to be done by the process itself:

- on Linux it asks to be terminated when the supervisor dies (prctl(2), PR_SET_PDEATHSIG),
  whatever the supervisor dies of;
- a listening socket, inherited as standard input, is handed on by the protocol of socket
  activation (sd_listen_fds(3)): as descriptor 3, named SOCKET_NAME ("-": no socket).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_FIRST_SOCKET = 3


def _die_with(parent: int) -> None:
    if sys.platform != "linux":
        return  # there the next `up` finds and stops what was left behind
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")


def _hand_on_socket(name: str) -> None:
    os.dup2(0, _FIRST_SOCKET)
    os.set_inheritable(_FIRST_SOCKET, True)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES=name, LISTEN_PID=str(os.getpid()))


def main() -> None:
    """Prepare this process, then replace it with the program."""
    parent, socket_name, *command = sys.argv[1:]
    _die_with(int(parent))
    if socket_name != "-":
        _hand_on_socket(socket_name)
    try:
        os.execvp(command[0], command)  # noqa: S606  no shell is wanted
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
