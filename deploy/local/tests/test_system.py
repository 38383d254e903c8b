"""`image-system` with all five services: up, what the demo shows, status, down, and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from imagesystem.topology import SERVICES
from local_stack import ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local_stack", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )


def test_up_demo_status_down_and_up_again(tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path / "data"))
    port, nats_port = ports.free_ports(2)
    on_ports = ("--port", str(port), "--nats-port", str(nats_port))
    try:
        began = run("up", "--detach", "--demo", *folder, *on_ports, "--scale", "inference=2")
        assert began.returncode == 0, began.stderr
        assert f"http://127.0.0.1:{port}" in began.stdout
        assert "rocket.jpg" in began.stdout
        assert "colours" in began.stdout

        asked = run("status", "--json", *folder)
        assert asked.returncode == 0, asked.stdout
        report = json.loads(asked.stdout)
        assert report["ready"]
        parts = {part["name"]: part for part in report["parts"]}
        replicas = {"inference-1", "inference-2"}
        assert set(parts) == {"nats", "mongodb", "traefik", *SERVICES, *replicas} - {"inference"}
        assert all(part["ready"] and part["pid"] and part["version"] for part in parts.values())
        assert report["subscriber_url"].startswith("nats://subscriber:")

        again = run("up", "--detach", *folder, *on_ports)
        assert again.returncode == 1
        assert "a stack is running in" in again.stderr

        listed = httpx.get(f"{report['url']}/metadata/images/list").json()
        assert run("down", *folder).stdout == "stopped\n"
        assert run("status", *folder).returncode == 1

        assert run("up", "--detach", *folder, *on_ports).returncode == 0
        assert httpx.get(f"{report['url']}/metadata/images/list").json() == listed
    finally:
        run("down", *folder)
