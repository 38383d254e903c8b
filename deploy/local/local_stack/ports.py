"""Ports: the ones that are asked for, and free ones for what is only used inside."""

from __future__ import annotations

import errno
import random
import socket
from pathlib import Path

from local_stack.errors import StackError

__all__ = ["LOOPBACK", "free_ports", "listen", "require_free"]

LOOPBACK = "127.0.0.1"
_LOWEST = 15_000
#: Where connections take their own port from; a listener there could find it taken at a restart.
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def _bind(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # as servers do: a port in TIME_WAIT is free
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOOPBACK, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _refusal(port: int, option: str, error: OSError) -> StackError:
    if error.errno == errno.EADDRINUSE:
        return StackError(
            f"port {port} is taken by another program: free it, or choose another with {option}"
        )
    return StackError(f"cannot listen on port {port} ({error.strerror}): choose another: {option}")


def listen(port: int, option: str) -> socket.socket:
    """Return a socket that listens on `port` of the loopback address (0: any free one).

    Raises `StackError`, naming `option`, when the port cannot be had.
    """
    try:
        sock = _bind(port or free_ports(1)[0])
        sock.listen(1024)
    except OSError as error:
        raise _refusal(port, option, error) from error
    return sock


def require_free(port: int, option: str) -> int:
    """Return `port` if a server could listen there (0: a free one); else raise `StackError`."""
    if port == 0:
        return free_ports(1)[0]
    try:
        _bind(port).close()
    except OSError as error:
        raise _refusal(port, option, error) from error
    return port


def free_ports(count: int) -> list[int]:
    """Return `count` different ports that are free now, below those that connections use."""
    try:
        highest = int(_EPHEMERAL.read_text().split()[0]) - 1
    except (OSError, ValueError):
        highest = 32_767
    candidates = list(range(min(_LOWEST, highest - 1000), highest))
    random.shuffle(candidates)
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            return found
        try:
            _bind(port).close()
        except OSError:
            continue
        found.append(port)
    raise StackError(f"this machine has no {count} free ports left below {highest}")
