from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from imagesystem.events import Event
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from metadata_service.app import create_app
from metadata_service.memory import MemoryStore
from metadata_service.settings import Settings


class Stage:
    """The service with everything around it in memory."""

    def __init__(self, http: httpx.AsyncClient, platform: MemoryPlatform, store: MemoryStore):
        self.http = http
        self.platform = platform
        self.bus = platform.bus
        self.store = store

    async def say(self, *events: Event) -> list[int]:
        """Publish events, and return their sequences when the service has taken them in."""
        said = [(await self.bus.publish(event)).sequence for event in events]
        await self.bus.settle()
        return said

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.http.get(f"/metadata/images/{path}", params=params or None)


Open = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture(scope="session")
def open_stage() -> Open:
    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[Stage]:
        platform, store = MemoryPlatform(), MemoryStore()
        app = create_app(Settings(**settings), platform.connect, store.open)
        async with client(app) as http:
            yield Stage(http, platform, store)

    return opened


@pytest.fixture
async def stage(open_stage: Open) -> AsyncIterator[Stage]:
    async with open_stage(apply_wait_s=2.0) as opened:
        yield opened
