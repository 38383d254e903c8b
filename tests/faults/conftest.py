"""A stack of its own for every test that breaks one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.system import System, running_system


@pytest.fixture
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings for the services; parametrise indirectly."""
    return dict(getattr(request, "param", {}))


@pytest.fixture
async def system(tmp_path: Path, environment: dict[str, str]) -> AsyncIterator[System]:
    async with running_system(tmp_path, environment) as system:
        yield system


@pytest.fixture
async def http(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=system.url, timeout=60) as client:
        yield client
