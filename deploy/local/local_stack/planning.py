"""Before anything starts: a folder that can be written, programs that run, ports that are free."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from local_stack import binaries, clusters, credentials, ports
from local_stack.errors import StackError
from local_stack.parts import CommandOf, Plan, part_names

__all__ = ["make_plan", "prepare_folder"]

_LEAST_FREE_BYTES = 512 * 1024 * 1024
_NATS_SYNC = re.compile(r"always|\d+s")


def prepare_folder(data_dir: Path) -> None:
    """Make the data folder; raises `StackError` if it cannot be written or the disk is full."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / "logs").mkdir(exist_ok=True)
        trial = data_dir / ".trial"
        trial.write_bytes(b"x" * 4096)
        trial.unlink()
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        raise StackError(
            f"cannot write to {data_dir} ({error.strerror}): choose another place with --data-dir"
        ) from error
    if free < _LEAST_FREE_BYTES:
        raise StackError(
            f"only {free // 1024**2} MiB are free where {data_dir} is: make room, or choose "
            "another place with --data-dir"
        )


async def make_plan(
    data_dir: Path,
    *,
    environ: Mapping[str, str],
    port: int,
    nats_port: int,
    replicas: Mapping[str, int],
    command_of: CommandOf,
) -> Plan:
    """Return the plan of one run; `port` is open already, `nats_port` 0 means any.

    Raises `StackError` for a setting, a port or a program that cannot be used.
    """
    mongodb_url = environ.get("MONGODB_URL") or None
    programs, versions = await _find_programs(with_mongod=mongodb_url is None)
    nats = clusters.servers(replicas.get("nats", 1))
    clusters.check_store(data_dir, nats)
    chosen = {"traefik": port, nats[0]: ports.require_free(nats_port, "--nats-port")}
    names = part_names(replicas, with_mongodb=mongodb_url is None)
    more = [f"{name}-{what}" for name in nats for what in ("monitor", "routes")]
    inside = [name for name in (*names, *more) if name not in chosen]
    return Plan(
        data_dir=data_dir,
        environ={name: value for name, value in environ.items() if name != "MONGODB_URL"},
        credentials=credentials.load_or_create(data_dir / "credentials.json"),
        ports=chosen | dict(zip(inside, ports.free_ports(len(inside)), strict=True)),
        replicas=replicas,
        programs=programs,
        versions=versions,
        mongodb_url=mongodb_url,
        nats_sync=_sync(environ.get("NATS_SYNC") or "120s"),
        nats_max_file_store=_room_for_nats(data_dir, nats, environ.get("NATS_MAX_FILE_STORE", "")),
        command_of=command_of,
    )


async def _find_programs(*, with_mongod: bool) -> tuple[dict[str, Path], dict[str, str]]:
    wanted = [name for name in binaries.BINARIES if with_mongod or name != "mongod"]
    programs = {name: binaries.locate(name) for name in wanted}
    versions = await asyncio.gather(
        *(asyncio.to_thread(binaries.version_of, *found) for found in programs.items())
    )
    return programs, dict(zip(wanted, versions, strict=True))


def _sync(asked: str) -> str:
    # "2m" is no duration to NATS but two million: of seconds
    if not _NATS_SYNC.fullmatch(asked):
        raise StackError(f"NATS_SYNC={asked!r}: give seconds as `120s`, or `always`")
    return asked


def _room_for_nats(data_dir: Path, servers: tuple[str, ...], asked: str) -> int:
    """Return each server's part of three quarters of what JetStream has and could have.

    nats-server's own default is three quarters of what is free, forgetting what it has stored:
    it shrinks with every restart.
    """
    if asked:
        if not asked.isdigit():
            raise StackError(f"NATS_MAX_FILE_STORE={asked!r}: give a number of bytes")
        return int(asked)
    files = (path for name in servers for path in (data_dir / name).rglob("*") if path.is_file())
    room = sum(path.stat().st_size for path in files) + shutil.disk_usage(data_dir).free
    return room * 3 // 4 // len(servers)
