"""A running system changed to TLS, as the guide says, and back."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator

import httpx
import nats
import pytest
from imagesystem import connection, ids
from imagesystem.errors import Unavailable
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.settings import ServiceSettings
from nats.aio.msg import Msg

from tests.containers.engine import ROOT, ComposeProject
from tests.docs.pages import blocks
from tests.pictures import picture
from tests.system import System

pytestmark = [pytest.mark.containers, pytest.mark.slow, pytest.mark.timeout(900)]

GUIDE = ROOT / "docs" / "how-to" / "tls.md"
BEFORE = picture(400_000)


@pytest.fixture(scope="module")
async def tls(
    project: ComposeProject, system: System, http: httpx.AsyncClient
) -> AsyncIterator[ssl.SSLContext]:
    """Make certificates by the guide, turn TLS on; off again at the end."""
    await http.put("/registry/upload?filename=before.jpg", content=BEFORE)
    await system.ready(http, ids.image_id(BEFORE))
    commands = next(block.text for block in blocks(GUIDE) if "openssl" in block.text)
    made = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-e", "-c", commands],
        cwd=project.folder,
        check=False,
        capture_output=True,
    )
    assert made.returncode == 0, made.stderr.decode()
    project.overlays = ("docker-compose.tls.yml",)
    try:
        await asyncio.to_thread(project.up)
        yield ssl.create_default_context(cafile=project.folder / "tls" / "ca.pem")
    finally:
        project.overlays = ()
        await asyncio.to_thread(project.up)


async def test_the_ingress_speaks_https_and_nothing_else(
    tls: ssl.SSLContext, project: ComposeProject
) -> None:
    secure = project.url.replace("http://", "https://")
    async with httpx.AsyncClient(base_url=secure, verify=tls, timeout=60) as http:
        data = picture(400_001)
        answer = await http.post("/registry/upload", files={"file": ("a.jpg", data)})
        assert answer.status_code == 201, answer.text
        for kept in (data, BEFORE):
            path = f"/metadata/images/{ids.image_id(kept)}?wait=ready&timeout=30"
            assert (await http.get(path)).json()["status"] == "ready"
            assert (await http.get(f"/image/images/{ids.image_id(kept)}")).content == kept
    async with httpx.AsyncClient(base_url=project.url) as plain:
        assert (await plain.get("/registry/health/ready")).status_code == 404
    async with httpx.AsyncClient(base_url=secure) as stranger:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.get("/registry/health/ready")


async def test_subscribers_hear_facts_through_tls(
    tls: ssl.SSLContext, project: ComposeProject
) -> None:
    url = (await asyncio.to_thread(lambda: project.subscriber_url)).replace("nats://", "tls://")
    client = await nats.connect(url, tls=tls)
    heard: asyncio.Queue[Msg] = asyncio.Queue()
    await client.subscribe("images.v1.*.uploaded", cb=heard.put)
    await client.flush()
    data = picture(400_002)
    secure = project.url.replace("http://", "https://")
    async with httpx.AsyncClient(base_url=secure, verify=tls, timeout=60) as http:
        answer = await http.put("/registry/upload?filename=a.jpg", content=data)
        assert answer.status_code == 201, answer.text
    async with asyncio.timeout(60):
        assert (await heard.get()).subject == f"images.v1.{ids.image_id(data)}.uploaded"
    await client.close()


async def test_nats_lets_nobody_in_without_tls_nor_a_service_to_a_stranger(
    tls: ssl.SSLContext, project: ComposeProject
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", project.nats_port)
    async with asyncio.timeout(60):
        assert b'"tls_required":true' in await reader.readline()
        writer.write(b"CONNECT {}\r\nPING\r\n")
        assert b"PONG" not in await reader.read()
    writer.close()
    url = (await asyncio.to_thread(project.nats_url, "registry")).replace("nats://", "tls://")
    authority = str(project.folder / "tls" / "ca.pem")
    trusting = ServiceSettings(nats_url=url, nats_ca_file=authority)
    async with connection.open_platform(trusting, Health("registry"), Metrics()) as platform:
        assert await platform.bus.facts(ids.image_id(BEFORE))
    strange = ServiceSettings(nats_url=url, start_timeout_s=10.0)
    with pytest.raises(Unavailable):
        async with connection.open_platform(strange, Health("registry"), Metrics()):
            pass


async def test_a_service_that_was_given_an_authority_does_not_speak_plainly(
    tls: ssl.SSLContext, project: ComposeProject, nats_url: str
) -> None:
    authority = str(project.folder / "tls" / "ca.pem")
    settings = ServiceSettings(nats_url=nats_url, nats_ca_file=authority, start_timeout_s=5.0)
    with pytest.raises(Unavailable):
        async with connection.open_platform(settings, Health("registry"), Metrics()):
            pass
