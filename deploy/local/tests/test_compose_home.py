"""Subscribers of a system in Compose, with a stand-in for docker that runs what the containers run.

It runs `credentials.py` itself, on a folder instead of the volume, and sends NATS its signals.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import nats
import pytest
from imagesystem import connection
from imagesystem.permissions import ADMINISTRATOR
from local_stack import Stack, StackError, homes, subscribers
from local_stack.homes import ComposeHome

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
DOCKER = """\
#!{python}
import os, signal, sys
match sys.argv[1:]:
    case ["compose", "run", "--rm", "--no-deps", "-T", "credentials", "python", _, *arguments]:
        os.execv(sys.executable, [sys.executable, "{program}", *arguments])
    case ["compose", "port", "nats", "4222"]:
        print("127.0.0.1:{port}")
    case ["compose", "kill", "--signal", "HUP", "nats"]:
        os.kill({pid}, signal.SIGHUP)
    case _:
        sys.exit("no such service: " + " ".join(sys.argv[1:]))
"""


def credentials_program(folder: Path, volume: Path) -> Path:
    """Return the program of the container `credentials`, for a volume that we own."""
    text = (ROOT / "deploy" / "docker" / "credentials.py").read_text()
    program = folder / "credentials.py"
    text = text.replace('Path("/credentials")', f"Path({str(volume)!r})")
    program.write_text(text.replace("os.chown(", "(lambda *_: None)("))
    return program


def run(
    program: Path, *arguments: str, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, program, *arguments]
    return subprocess.run(line, input=b"", capture_output=True, check=False, env=environ)


@pytest.fixture
async def home(
    tmp_path: Path, make_stack: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ComposeHome]:
    """A project whose NATS is that of a stack, with the volume where it reads its accounts."""
    async with make_stack(tmp_path / "data") as running:
        client = await connection.connect(running.nats_url("registry"), "registry")
        await connection.provision(client, "registry")
        await client.close()
        volume = running.data_dir / "subscribers"
        program = credentials_program(tmp_path, volume)
        environ = os.environ | {
            f"NATS_{user.upper()}_PASSWORD": password
            for user, password in running.plan.credentials.nats.items()
        }
        (volume / "accounts.conf").unlink()
        assert run(program, environ=environ).returncode == 0
        (bin_ := tmp_path / "bin").mkdir()
        docker = bin_ / "docker"
        nats_part = running.parts["nats"]
        docker.write_text(
            DOCKER.format(
                python=sys.executable, program=program, port=nats_part.port, pid=nats_part.pid
            )
        )
        docker.chmod(0o755)
        monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
        shutil.copy(ROOT / "docker-compose.yml", tmp_path)
        yield ComposeHome(tmp_path)


async def test_create_list_and_remove(home: ComposeHome, tmp_path: Path) -> None:
    assert home.read("accounts.conf") == b"", "NATS finds the file at its first start"
    made = await subscribers.create(home, "acme", facts=["images.v1.>"])
    kept = tmp_path / "data" / "subscribers"
    for file in ("subscribers.json", "accounts.conf"):
        assert made.password in (kept / file).read_text()
        assert stat.S_IMODE((kept / file).stat().st_mode) == 0o400
    client = await nats.connect(subscribers.url(home, made), allow_reconnect=False)
    await client.close()
    assert [one.name for one in await subscribers.examine(home)] == ["acme"]
    # the next start of the project leaves them alone
    program = tmp_path / "credentials.py"
    assert run(program).returncode == 0
    assert subscribers.find(home, "acme") == made
    await subscribers.remove(home, "acme")
    assert await subscribers.examine(home) == []
    assert made.password not in (kept / "accounts.conf").read_text()


async def test_only_what_is_about_subscribers_is_shown_or_replaced(
    home: ComposeHome, tmp_path: Path
) -> None:
    program = tmp_path / "credentials.py"
    for arguments in (["show", ".nats-registry"], ["keep", "nats.env"], ["show", "../x"], ["x"]):
        done = run(program, *arguments)
        assert done.returncode != 0
        assert done.stdout == b""
    assert (
        home.password()
        == (tmp_path / "data" / "subscribers" / f".nats-{ADMINISTRATOR}").read_text()
    )


def test_where_there_is_no_project_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"no docker-compose\.yml"):
        ComposeHome(tmp_path)


def test_where_nothing_runs_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'service \"nats\" is not running' >&2\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "docker-compose.yml").write_text("")
    with pytest.raises(StackError, match="is not running"):
        assert ComposeHome(tmp_path).addresses


def test_the_containers_mount_what_the_configuration_includes() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    folder = Path(homes.ACCOUNTS_FILE).parent
    assert f"credentials:/etc/nats/{folder}:ro" in compose
