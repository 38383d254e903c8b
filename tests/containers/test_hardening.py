"""What the compose file promises about its containers, asked of the engine."""

from __future__ import annotations

import shutil
import subprocess

import httpx
import pytest
from imagesystem.topology import SERVICES

from tests.containers.conftest import ORIGIN
from tests.containers.engine import ComposeProject, container_of, copy_sources

# the first of them builds the images
pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(1800)]

SERVERS = ("nats", "mongodb", "traefik")
MB = 1_000_000
#: 110 MB of metadata's are what writes Parquet.
MAX_IMAGE_BYTES = {"registry": 250 * MB, "image": 250 * MB, "metadata": 400 * MB}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_read_only_without_privileges(project: ComposeProject, service: str) -> None:
    inspected = project.inspect(container_of(service))
    host = inspected["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert any("no-new-privileges" in option for option in host["SecurityOpt"])
    assert not host["PortBindings"], "only the ingress and NATS are reached from outside"
    uid = project.execute(container_of(service), "id", "-u").strip()
    assert int(uid) > 10_000
    with pytest.raises(RuntimeError):
        project.execute(container_of(service), "touch", "/app/x")


@pytest.mark.parametrize(("service", "folder"), [("registry", "/spool"), ("metadata", "/index")])
def test_what_a_service_keeps_outside_of_memory_it_may_write(
    project: ComposeProject, service: str, folder: str
) -> None:
    tried = f"{folder}/tried"
    project.execute(container_of(service), "sh", "-c", f"touch {tried} && rm {tried}")


def test_each_service_is_a_user_of_its_own_who_reads_its_own_credentials(
    project: ComposeProject,
) -> None:
    users = {project.inspect(container_of(service))["Config"]["User"] for service in SERVICES}
    assert len(users) == len(SERVICES)
    project.execute("image-registry", "cat", "/credentials/registry-nats-url")
    for others in ("metadata-nats-url", "metadata-mongodb-url", "nats.env", ".nats-image"):
        with pytest.raises(RuntimeError):
            project.execute("image-registry", "cat", f"/credentials/{others}")


@pytest.mark.parametrize("part", [*SERVICES, *SERVERS])
def test_every_container_has_a_memory_limit_a_health_check_and_comes_back(
    project: ComposeProject, part: str
) -> None:
    inspected = project.inspect(container_of(part))
    assert inspected["HostConfig"]["Memory"] > 0
    assert inspected["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert inspected["State"]["Health"]["Status"] == "healthy"


def test_two_ports_are_open(project: ComposeProject) -> None:
    opened = {
        (part, port, binding["HostIp"])
        for part in SERVERS
        for port, bindings in project.inspect(part)["HostConfig"]["PortBindings"].items()
        for binding in bindings
    }
    assert opened == {("traefik", "8011/tcp", "127.0.0.1"), ("nats", "4222/tcp", "127.0.0.1")}


@pytest.mark.parametrize("service", MAX_IMAGE_BYTES)
def test_images_are_small(project: ComposeProject, service: str) -> None:
    image = project.inspect(container_of(service))["Image"]
    shown = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", image],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(shown.stdout) < MAX_IMAGE_BYTES[service]


def test_nobody_is_let_in_without_a_password(project: ComposeProject) -> None:
    said = project.execute(
        "mongodb",
        "sh",
        "-c",
        "mongosh --quiet --eval 'db.getSiblingDB(\"image_system\").images.findOne()' 2>&1 || true",
    )
    assert "requires authentication" in said
    said = project.execute(
        "nats",
        "sh",
        "-c",
        r"(printf 'CONNECT {}\r\nPING\r\n'; sleep 1) | nc 127.0.0.1 4222 2>&1 || true",
    )
    assert "Authorization Violation" in said


async def test_origins_are_a_setting(http: httpx.AsyncClient) -> None:
    path = "/metadata/images/list"
    answer = await http.get(path, headers={"origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    answer = await http.get(path, headers={"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_the_example_settings_are_the_defaults(
    engine: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("settings")
    copy_sources(folder)
    project = ComposeProject(folder, "defaults", http_port=1, nats_port=2, environment={})
    for name in ("HTTP_ADDRESS", "HTTP_PORT", "NATS_PORT"):
        del project.environ[name]
    without = project.compose("config")
    shutil.copy(folder / ".env.example", folder / ".env")
    assert project.compose("config") == without
    assert 'published: "8011"' in without
    assert "host_ip: 127.0.0.1" in without, "NATS is open on loopback only"
