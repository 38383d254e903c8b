"""The parts of the stack as data: what is started, with what, in which order."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec
from imagesystem.topology import SERVICES

from local_stack import clusters, models, mongodb
from local_stack.credentials import Credentials
from local_stack.errors import StackError
from local_stack.nats_config import password_variable
from local_stack.ports import LOOPBACK

__all__ = ["CommandOf", "Part", "Plan", "part_names", "service_command", "table"]

#: Returns the command that runs a service.
CommandOf: TypeAlias = Callable[[str], tuple[str, ...]]

_ROOT = Path(__file__).resolve().parents[3]
NATS_CONFIG = _ROOT / "deploy" / "nats" / "nats-server.conf"
TRAEFIK_FOLDER = _ROOT / "traefik"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One process.

    `kind`: the program (`inference` of the part `inference-2`); `probe`: the URL that says when
    it is ready; `live`: the URL that answers 503 when it wants to be restarted (empty: none);
    `prepare`: done once, when it is ready for the first time and before others may use it;
    `socket`: the name under which it is handed the stack's listening socket (empty: none);
    `stop_s`: seconds it has to end after SIGTERM.
    """

    name: str
    kind: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    port: int
    probe: str
    live: str = ""
    depends_on: tuple[str, ...] = ()
    prepare: Callable[[], Awaitable[None]] | None = None
    folder: Path = Path("/")
    socket: str = ""
    stop_s: float = 20.0
    version: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the table is made from: everything that differs from one run to the next.

    `ports` by part (and `nats-monitor`); `programs` and `versions` by server; `environ`: what
    every part inherits; `mongodb_url`: somebody else's MongoDB, None to run one.
    """

    data_dir: Path
    environ: Mapping[str, str]
    credentials: Credentials
    ports: Mapping[str, int]
    replicas: Mapping[str, int]
    programs: Mapping[str, Path]
    versions: Mapping[str, str]
    mongodb_url: str | None
    nats_sync: str
    nats_max_file_store: int
    command_of: CommandOf

    @property
    def nats(self) -> tuple[str, ...]:
        """The names of the nats-servers: one, or those of a cluster."""
        return clusters.servers(self.replicas.get("nats", 1))


def service_command(service: str) -> tuple[str, ...]:
    """Return the command of a service: its own module in this Python."""
    return (sys.executable, "-m", f"{service}_service")


def _replicas(service: str, count: int) -> tuple[str, ...]:
    return (service,) if count == 1 else tuple(f"{service}-{n + 1}" for n in range(count))


def part_names(replicas: Mapping[str, int], *, with_mongodb: bool) -> tuple[str, ...]:
    """Return the names of the parts, in the order in which they are shown."""
    services = (name for service in SERVICES for name in _replicas(service, replicas[service]))
    nats = clusters.servers(replicas.get("nats", 1))
    return (*nats, *(("mongodb",) if with_mongodb else ()), *services, "traefik")


def nats_url(plan: Plan, user: str) -> str:
    """Return the URL with which the NATS user `user` connects, of a cluster one per server."""
    login = f"{user}:{plan.credentials.nats[user]}"
    return ",".join(f"nats://{login}@{LOOPBACK}:{plan.ports[name]}" for name in plan.nats)


def table(plan: Plan) -> tuple[Part, ...]:
    """Return every part of the stack."""
    for path in (NATS_CONFIG, TRAEFIK_FOLDER / "traefik.yml", TRAEFIK_FOLDER / "dynamic.yml"):
        if not path.is_file():
            raise StackError(f"{path} is missing: image-system runs from a complete checkout")
    mongod = () if plan.mongodb_url else (_mongodb(plan),)
    services = tuple(
        _service(plan, service, name)
        for service in SERVICES
        for name in _replicas(service, plan.replicas[service])
    )
    nats = (_nats(plan, name) for name in plan.nats)
    return (*nats, *mongod, *services, _traefik(plan, services))


def _nats(plan: Plan, name: str) -> Part:
    port, monitor = plan.ports[name], plan.ports[f"{name}-monitor"]
    config = NATS_CONFIG.name if len(plan.nats) == 1 else f"{name}.conf"
    command = [str(plan.programs["nats-server"]), "--config", str(plan.data_dir / config)]
    command += ["-a", LOOPBACK, "-p", str(port), "-m", str(monitor)]
    command += ["-sd", str(plan.data_dir / name)]
    passwords = {
        password_variable(user): password for user, password in plan.credentials.nats.items()
    }
    return Part(
        name=name,
        kind="nats",
        command=tuple(command),
        environ={
            **plan.environ,
            **passwords,
            "NATS_SYNC": plan.nats_sync,
            "NATS_MAX_FILE_STORE": str(plan.nats_max_file_store),
        },
        port=port,
        probe=f"http://{LOOPBACK}:{monitor}/healthz",
        version=plan.versions["nats-server"],
    )


def _mongodb(plan: Plan) -> Part:
    port = plan.ports["mongodb"]
    folder = plan.data_dir / "mongodb"
    folder.mkdir(exist_ok=True)
    command = [str(plan.programs["mongod"]), "--dbpath", str(folder), "--port", str(port)]
    command += ["--bind_ip", LOOPBACK, "--nounixsocket", "--auth", "--quiet"]
    # 6.0.5 has a flaw in its zlib; on one machine compression gains nothing anyway
    command += ["--networkMessageCompressors", "disabled"]
    # a desktop's memory is not a database server's: the default takes half of it
    command += ["--wiredTigerCacheSizeGB", "0.25"]
    command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
    return Part(
        name="mongodb",
        kind="mongodb",
        command=tuple(command),
        environ=plan.environ,
        port=port,
        probe=f"mongodb://{LOOPBACK}:{port}",
        prepare=lambda: mongodb.ensure_users(port, plan.credentials.mongodb),
        stop_s=30.0,
        version=plan.versions["mongod"],
    )


def _service(plan: Plan, service: str, name: str) -> Part:
    port = plan.ports[name]
    base = f"http://{LOOPBACK}:{port}/{service}/health"
    environ = {
        **plan.environ,
        "HTTP_HOST": LOOPBACK,
        "HTTP_PORT": str(port),
        "NATS_URL": nats_url(plan, service),
        "LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
    }
    depends_on = [*plan.nats]
    if len(plan.nats) > 1:
        environ.setdefault("REPLICAS", str(len(plan.nats)))
    if service == "inference":
        environ.setdefault("MODELS_DIR", str(plan.data_dir / models.FOLDER))
    if service == "metadata":
        environ |= _mongodb_environ(plan)
        environ.setdefault("INDEX_DIR", str(plan.data_dir / "index" / name))
        depends_on += [] if plan.mongodb_url else ["mongodb"]
    return Part(
        name=name,
        kind=service,
        command=plan.command_of(service),
        environ=environ,
        port=port,
        probe=f"{base}/ready",
        live=f"{base}/live",
        depends_on=tuple(depends_on),
        folder=plan.data_dir,
        stop_s=30.0,
    )


def _mongodb_environ(plan: Plan) -> dict[str, str]:
    if plan.mongodb_url:
        return {"MONGODB_URL": plan.mongodb_url}
    password = plan.credentials.mongodb["metadata"]
    return {
        "MONGODB_URL": mongodb.url_for(plan.ports["mongodb"], "metadata", password),
        "MONGODB_DATABASE": mongodb.DATABASE,
    }


def _traefik(plan: Plan, services: tuple[Part, ...]) -> Part:
    port = plan.ports["traefik"]
    urls = {
        f"{service.upper()}_URLS": ",".join(
            f"http://{LOOPBACK}:{part.port}" for part in services if part.kind == service
        )
        for service in SERVICES
    }
    return Part(
        name="traefik",
        kind="traefik",
        command=(str(plan.programs["traefik"]), "--configFile=traefik.yml"),
        environ={**plan.environ, **urls},
        port=port,
        probe=f"http://{LOOPBACK}:{port}/ping",
        # the last to start and the first to stop: nobody is let in to services that are not there
        depends_on=tuple(part.name for part in services),
        folder=TRAEFIK_FOLDER,
        socket="web",
        stop_s=15.0,
        version=plan.versions["traefik"],
    )
