"""The Compose overlays fit what they go on top of."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from imagesystem.topology import SERVICES

ROOT = Path(__file__).resolve().parent.parent.parent
OVERLAYS = sorted(path.name for path in ROOT.glob("docker-compose.*.yml"))
#: What services are called in Compose.
NAMES = {service: f"{service}-service" for service in SERVICES} | {"registry": "image-registry"}
PORT = 8000


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_mounted_is_there(overlay: str) -> None:
    for name, service in read(overlay)["services"].items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), f"{name} mounts {source}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_changed_is_there_and_what_is_added_is_complete(overlay: str) -> None:
    base = read("docker-compose.yml")["services"]
    for name, service in read(overlay)["services"].items():
        assert name in base or {"image", "restart", "mem_limit"} <= set(service), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_ingress_is_open_to_others(overlay: str) -> None:
    for name, service in read(overlay)["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is open on {port}"


def test_every_service_sends_its_spans() -> None:
    services = read("docker-compose.telemetry.yml")["services"]
    assert {services[name]["environment"]["OTLP_ENDPOINT"] for name in NAMES.values()} == {
        "${OTLP_ENDPOINT:-http://jaeger:4318}"
    }


def test_every_replica_of_every_service_is_scraped() -> None:
    config = yaml.safe_load((ROOT / "deploy/telemetry/prometheus.yml").read_text())
    scraped = {
        job["job_name"]: (job["metrics_path"], job["dns_sd_configs"][0])
        for job in config["scrape_configs"]
    }
    assert set(scraped) == set(SERVICES)
    for service, (path, found) in scraped.items():
        assert path == f"/{service}/metrics"
        assert found["names"] == [NAMES[service]]
        assert (found["type"], found["port"]) == ("A", PORT)


@pytest.mark.skipif(not shutil.which("docker"), reason="there is no docker")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_compose_takes_it(overlay: str, tmp_path: Path) -> None:
    files = ["-f", "docker-compose.yml", "-f", overlay]
    command = ["docker", "compose", "--project-directory", str(ROOT), *files, "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "is not a docker command" in done.stderr:
        pytest.skip("docker has no compose")
    assert done.returncode == 0, done.stderr


def test_folders_that_services_write_are_volumes_that_the_image_makes_for_anybody() -> None:
    compose = read("docker-compose.yml")
    made = (ROOT / "deploy/docker/Dockerfile").read_text()
    line = next(line for line in made.splitlines() if line.startswith("RUN mkdir -m 1777 "))
    for name in NAMES.values():
        for volume in compose["services"][name].get("volumes", []):
            source, target, *mode = volume.split(":")
            if "/" not in source and "$" not in source and mode != ["ro"]:
                assert source in compose["volumes"]
                assert target in line.split(), f"{name} cannot write {target}"
