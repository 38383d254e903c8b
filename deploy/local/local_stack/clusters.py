"""Several nats-servers that keep every stream three or five times: what each is told of the others.

On one machine a cluster protects against the death of a server, not of the machine; it is what the
system runs on elsewhere, and a way to try that here: `image-system up --scale nats=3`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from local_stack.errors import StackError
from local_stack.files import replace
from local_stack.ports import LOOPBACK

__all__ = ["SIZES", "USER", "check_store", "place", "servers"]

#: How many servers there may be: an odd number, so that there is a majority.
SIZES = (1, 3, 5)
#: Who servers are to each other.
USER = "cluster"

_CONFIG = """\
# Written by `image-system up`: one server of a cluster on this machine.
include "{base}"

server_name: {name}
cluster {{
  name: image-system
  listen: "{address}"
  # clients know all servers, with their password; what servers tell them comes without
  no_advertise: true
  authorization {{user: {user}, password: {password}}}
  routes: [
{routes}
  ]
}}
"""


def servers(count: int) -> tuple[str, ...]:
    """Return the names of the servers."""
    return ("nats",) if count == 1 else tuple(f"nats-{n + 1}" for n in range(count))


def check_store(data_dir: Path, names: tuple[str, ...]) -> None:
    """Raise `StackError` when `data_dir` holds what other servers have stored."""
    others = [size for size in SIZES if servers(size) != names]
    for size in others:
        there = servers(size)
        if set(there) - set(names) and all((data_dir / name).exists() for name in there):
            raise StackError(
                f"{data_dir} holds what {size} nats-server stored: start with "
                f"`--scale nats={size}`, or choose another --data-dir"
            )


def place(
    data_dir: Path, base: str, names: tuple[str, ...], ports: Mapping[str, int], password: str
) -> None:
    """Write the configuration of each server beside `base`, unless there is only one."""
    if len(names) == 1:
        return
    address = {name: f"{LOOPBACK}:{ports[f'{name}-routes']}" for name in names}
    for name in names:
        routes = (address[other] for other in names if other != name)
        text = _CONFIG.format(
            base=base,
            name=name,
            address=address[name],
            user=USER,
            password=password,
            routes="\n".join(f'    "nats://{USER}:{password}@{route}"' for route in routes),
        )
        replace(data_dir / f"{name}.conf", text.encode())
