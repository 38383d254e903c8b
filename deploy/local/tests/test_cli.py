"""The command line where no stack is needed: wrong options and empty folders."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from local_stack import cli
from typer.testing import CliRunner

pytestmark = pytest.mark.integration
COMMANDS = CliRunner()


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local_stack", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environ,
    )


def complaint(*arguments: str, **environ: str) -> str:
    """Return the one line that the command complains with."""
    ended = run(*arguments, **environ)
    assert ended.returncode == 1
    *log, line = ended.stderr.splitlines()
    assert not [entry for entry in log if not entry.startswith("{")]
    assert line.startswith("image-system: ")
    return line


@pytest.mark.parametrize("detach", [(), ("--detach",)])
@pytest.mark.parametrize("option", ["--port", "--nats-port"])
def test_a_taken_port(tmp_path: Path, option: str, detach: tuple[str, ...]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = {"--port": "28911", "--nats-port": "28912"}
        ports[option] = str(taken.getsockname()[1])
        given = [word for pair in ports.items() for word in pair]
        line = complaint("up", "--data-dir", str(tmp_path / "data"), *given, *detach)
    assert f"port {ports[option]} is taken" in line
    assert f"choose another with {option}" in line


def test_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = complaint("up", "--data-dir", str(tmp_path / "file" / "data"))
    assert "cannot write to" in line
    assert "--data-dir" in line


def test_a_wrong_setting(tmp_path: Path) -> None:
    ports = ("--port", "28921", "--nats-port", "28922")
    line = complaint("up", "--data-dir", str(tmp_path), *ports, NATS_SYNC="2m")
    assert "NATS_SYNC='2m'" in line


@pytest.mark.parametrize("scale", ["inference", "inference=0", "inference=x", "nobody=2"])
def test_a_wrong_scale_says_what_is_right(tmp_path: Path, scale: str) -> None:
    ended = COMMANDS.invoke(cli.app, ["up", "--data-dir", str(tmp_path), "--scale", scale])
    assert ended.exit_code == 2
    assert "SERVICE=COUNT" in ended.output


def test_status_where_nothing_runs(tmp_path: Path) -> None:
    for_people = COMMANDS.invoke(cli.app, ["status", "--data-dir", str(tmp_path)])
    assert for_people.exit_code == 1
    assert "image-system up" in for_people.output
    for_programs = COMMANDS.invoke(cli.app, ["status", "--json", "--data-dir", str(tmp_path)])
    assert for_programs.exit_code == 1
    assert json.loads(for_programs.output)["running"] is False


def test_down_where_nothing_runs(tmp_path: Path) -> None:
    ended = COMMANDS.invoke(cli.app, ["down", "--data-dir", str(tmp_path)])
    assert ended.exit_code == 0
    assert "no stack is running" in ended.output


def test_version_names_the_servers() -> None:
    said = COMMANDS.invoke(cli.app, ["version"]).output
    for name in ("image-system", "nats-server", "mongod", "traefik"):
        assert name in said
