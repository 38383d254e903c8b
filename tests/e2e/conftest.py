"""One stack for all end-to-end tests, which leave it as they found it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.system import System, running_system

#: Endpoints of webhooks listen on this machine.
SETTINGS = {"WEBHOOK_ALLOW_PRIVATE": "true"}


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with running_system(tmp_path_factory.mktemp("stack"), SETTINGS) as system:
        yield system


@pytest.fixture(scope="session")
async def http(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=system.url, timeout=60) as client:
        yield client
