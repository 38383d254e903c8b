"""Every service describes itself through the one port."""

from __future__ import annotations

import httpx
import pytest
from imagesystem.topology import SERVICES

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("service", SERVICES)
async def test_the_api_its_docs_its_health_and_its_metrics(
    http: httpx.AsyncClient, service: str
) -> None:
    schema = (await http.get(f"/{service}/schema/openapi.json")).json()
    assert schema["info"]["title"] == f"image-system {service}"
    assert all(path.startswith(f"/{service}") for path in schema["paths"])
    assert (await http.get(f"/{service}/schema")).headers["content-type"].startswith("text/html")
    ready = (await http.get(f"/{service}/health/ready")).json()
    assert ready["status"] == "ready"
    assert set(ready["checks"].values()) == {None}
    assert "http_requests_total" in (await http.get(f"/{service}/metrics")).text


async def test_a_path_that_nobody_serves_is_a_404(http: httpx.AsyncClient) -> None:
    assert (await http.get("/nothing/here")).status_code == 404
    problem = await http.get("/registry/nothing")
    assert (problem.status_code, problem.json()["code"]) == (404, "not_found")
