"""The container engine as tests see it: whether there is one, and one Compose project on it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imagesystem.topology import SERVICES

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
#: What `docker compose up --build` reads.
SOURCES = ("shared", "services", "deploy", "traefik")
FILES = ("pyproject.toml", "uv.lock", ".dockerignore", ".env.example", "docker-compose.yml")
#: Ends a wait that will never succeed; nothing is asserted about how long things take.
PATIENCE_S = 180.0


def container_of(part: str) -> str:
    """Return the Compose service of a part, as `registry` or `nats`."""
    return {"registry": "image-registry"}.get(part, f"{part}-service" if part in SERVICES else part)


def base_images() -> set[str]:
    """Return the images that the compose file and the Dockerfile start from."""
    python = re.search(r"^ARG PYTHON=(\S+)", DOCKERFILE.read_text(), re.MULTILINE)
    assert python is not None
    named = re.findall(r"^ +image: (\S+)", COMPOSE_FILE.read_text(), re.MULTILINE)
    return {*named, f"python:{python[1]}-slim-bookworm"}


def reason_to_skip() -> str | None:
    """Say why nothing can be tried in containers here, if so."""
    if shutil.which("docker") is None:
        return "no container engine: there is no `docker` here"
    version = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if version.returncode:
        return "no container engine: `docker compose` is not installed"
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return "no container engine: no daemon answers `docker info`"
    if os.environ.get("CONTAINERS_PULL"):
        return None
    missing = [name for name in sorted(base_images()) if not _has_image(name)]
    if missing:
        return f"no base images (CONTAINERS_PULL=1 to pull them): {', '.join(missing)}"
    return None


def _has_image(name: str) -> bool:
    inspected = subprocess.run(
        ["docker", "image", "inspect", name], capture_output=True, check=False
    )
    return inspected.returncode == 0


def copy_sources(folder: Path) -> None:
    """Copy what Compose builds from, so that a test can change it."""
    leave = shutil.ignore_patterns("__pycache__", ".mypy_cache", "tests")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    for name in [*FILES, *(path.name for path in ROOT.glob("docker-compose.*.yml"))]:
        shutil.copy(ROOT / name, folder / name)


class ComposeProject:
    """The system as one Compose project, its files in `folder`.

    It has what `tests.system.System` needs of a stack: addresses, `kill` and `wait_ready`.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        http_port: int,
        nats_port: int,
        environment: dict[str, str],
        overlays: Sequence[str] = (),
    ) -> None:
        self.folder, self.name, self.nats_port = folder, name, nats_port
        self.url = f"http://127.0.0.1:{http_port}"
        self.overlays = overlays
        # nothing but this: a variable of the machine's would go before .env
        self.environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environ |= {name: v for name, v in os.environ.items() if name.startswith("DOCKER_")}
        self.environ |= {"HTTP_ADDRESS": "127.0.0.1", "HTTP_PORT": str(http_port)}
        self.environ |= {"NATS_PORT": str(nats_port), **environment}

    def compose(self, *arguments: str) -> str:
        """Run `docker compose`; return what it prints. Raises with its complaint when it fails."""
        files = [f"--file={name}" for name in ("docker-compose.yml", *self.overlays)]
        ran = subprocess.run(
            ["docker", "compose", "--project-name", self.name, *files, *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"docker compose {' '.join(arguments)}:\n{ran.stderr[-8000:]}")
        return ran.stdout

    def up(self, *services: str) -> None:
        """Build and start, and wait until all is healthy."""
        try:
            self.compose("up", "--build", "--detach", "--wait", *services)
        except RuntimeError as error:
            logs = self.compose("logs", "--no-color", "--tail", "40")
            raise RuntimeError(f"{error}\n{logs[-8000:]}") from error

    def down(self) -> None:
        """Stop everything, and remove containers, volumes and the images built."""
        leave_nothing = ("--volumes", "--remove-orphans", "--rmi", "local")
        self.compose("down", *leave_nothing, "--timeout", "10")

    def ids(self) -> dict[str, str]:
        """Return the container id of every service that runs."""
        lines = self.compose("ps", "--format", "{{.Service}} {{.ID}}", "--no-trunc").splitlines()
        return dict(line.split() for line in lines)

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of a service's container."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        shown = subprocess.run(
            ["docker", "inspect", container], capture_output=True, text=True, check=True
        )
        found: dict[str, Any] = json.loads(shown.stdout)[0]
        return found

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a service's container; return what it prints."""
        return self.compose("exec", "--no-TTY", service, *command)

    def nats_url(self, user: str) -> str:
        """Return NATS's URL with the credentials of a user, as `registry` or `subscriber`."""
        text = self.execute("nats", "cat", "/credentials/nats.env")
        password = re.search(rf"NATS_{user.upper()}_PASSWORD=(\S+)", text)
        assert password is not None, user
        return f"nats://{user}:{password[1]}@127.0.0.1:{self.nats_port}"

    @property
    def subscriber_url(self) -> str:
        """NATS, for the read-only subscriber."""
        return self.nats_url("subscriber")

    async def kill(self, part: str) -> None:
        """Kill -9 the first process of a part's container, which the engine must notice."""
        # not `docker kill`: the engine takes that for a stop, and restarts nothing
        state = (await asyncio.to_thread(self.inspect, container_of(part)))["State"]
        os.kill(state["Pid"], signal.SIGKILL)

    async def wait_ready(self, part: str) -> None:
        """Return once a part's container is up and healthy."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                state = (await asyncio.to_thread(self.inspect, container_of(part)))["State"]
                if state["Running"] and state.get("Health", {}).get("Status") == "healthy":
                    return
                await asyncio.sleep(0.5)
