"""Traefik with the files in traefik/: routes, headers, restarts."""

from __future__ import annotations

import httpx
import pytest
from imagesystem.topology import SERVICES
from local_stack import Stack

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("service", SERVICES)
async def test_each_service_gets_its_paths_unchanged(stack: Stack, service: str) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as http:
        answer = await http.get(f"/{service}/images/a%2Fb?width=1&x=%22;y")
    assert answer.json()["service"] == service
    assert answer.json()["path"] == f"/{service}/images/a%2Fb?width=1&x=%22%3By"


@pytest.mark.parametrize("path", ["/", "/images", "/imagery/x", "/dashboard/", "/api/rawdata"])
async def test_other_paths_lead_nowhere(stack: Stack, path: str) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as http:
        assert (await http.get(path)).status_code == 404


async def test_clients_do_not_say_who_they_are(stack: Stack) -> None:
    claims = {"X-Forwarded-User": "root", "Remote-User": "root", "X-Auth-Request-Email": "a@b"}
    aliases = {"X_Forwarded_User": "root", "Remote_User": "root"}
    async with httpx.AsyncClient(base_url=stack.url) as http:
        answer = await http.get("/image/x", headers={**claims, **aliases, "X-Request-ID": "mine"})
    arrived = {name.lower().replace("_", "-") for name in answer.json()["headers"]}
    assert not arrived & {name.lower() for name in claims}
    assert "x-request-id" in arrived


async def test_replicas_share_the_work(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as http:
        answers = [await http.get("/inference/x") for _ in range(6)]
    pids = {answer.json()["pid"] for answer in answers}
    assert pids == {stack.parts["inference-1"].pid, stack.parts["inference-2"].pid}


async def test_a_killed_replica_is_not_noticed(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as http:
        await stack.kill("inference-1")
        answers = [await http.get("/inference/x") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 6
    await stack.wait_ready()


async def test_nobody_is_turned_away_while_traefik_starts_again(stack: Stack) -> None:
    await stack.kill("traefik")
    async with httpx.AsyncClient(base_url=stack.url, timeout=30) as http:
        await http.get("/registry/x")  # waits at the port, is not refused
        await stack.wait_ready()
        assert (await http.get("/registry/x")).status_code == 200


async def test_json_is_compressed(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as http:
        answer = await http.get("/metadata/x", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"


async def test_bodies_arrive_whole(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url, timeout=60) as http:
        answer = await http.post("/registry/upload", content=b"x" * 20_000_000)
    assert answer.json() == {"bytes": 20_000_000}
