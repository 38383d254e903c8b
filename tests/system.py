"""A running stack as tests see it: its one port, its events, its objects, its processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from imagesystem import connection
from imagesystem.bus import Bus, Received, api
from imagesystem.bus.jetstream import JetStreamBus
from imagesystem.events import DeadLetter, Fact
from imagesystem.metrics import Metrics
from imagesystem.objects.jetstream import JetStreamBucket
from imagesystem.topology import BUCKETS, SERVICES
from local_stack.stack import Stack
from nats.aio.client import Client

#: Ends a wait that will never succeed; nothing is asserted about how long things take.
PATIENCE_S = 60.0


class System:
    """A stack and ways to look into it, as the users of its services."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._clients: dict[str, Client] = {}

    @property
    def url(self) -> str:
        """The one HTTP port."""
        return self.stack.url

    @property
    def subscriber_url(self) -> str:
        """NATS, for the read-only subscriber."""
        return self.stack.subscriber_url

    async def client(self, service: str) -> Client:
        """Return a NATS connection as `service`'s user."""
        if service not in self._clients:
            self._clients[service] = await connection.connect(self.stack.nats_url(service), service)
        return self._clients[service]

    async def bus(self, service: str) -> Bus:
        """Return the bus as `service` has it."""
        return JetStreamBus(await self.client(service), service, Metrics())

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    async def ready(self, http: httpx.AsyncClient, image_id: str) -> dict[str, Any]:
        """Return the image's document once all that was planned for it is done."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answer = await http.get(f"/metadata/images/{image_id}?wait=ready&timeout=20")
                if answer.status_code == 200 and answer.json()["status"] != "pending":
                    document: dict[str, Any] = answer.json()
                    return document
                await asyncio.sleep(0.1)

    async def until_gone(self, http: httpx.AsyncClient, image_id: str) -> None:
        """Return once neither the original nor the document is served, and nothing is kept."""
        async with asyncio.timeout(PATIENCE_S):
            for path in (f"/image/images/{image_id}", f"/metadata/images/{image_id}"):
                while (await http.get(path)).status_code not in (404, 410):
                    await asyncio.sleep(0.05)
            for bucket in ("originals", "renditions"):
                while await self.objects_of(bucket, image_id):
                    await asyncio.sleep(0.05)
            while len(await self.facts(image_id)) > 1:
                await asyncio.sleep(0.05)

    async def back(self, http: httpx.AsyncClient, part: str) -> None:
        """Return once a part that was killed is ready, and the one port leads to it again."""
        await self.stack.wait_ready(part)
        if part not in SERVICES:
            return
        async with asyncio.timeout(PATIENCE_S):
            while (await http.get(f"/{part}/health/ready")).status_code != 200:
                await asyncio.sleep(0.1)

    async def facts(self, image_id: str) -> list[Received[Fact]]:
        """Return what the log holds about the image, oldest first."""
        return await (await self.bus("registry")).facts(image_id)

    async def objects_of(self, bucket: str, image_id: str) -> list[str]:
        """Return the names of the image's objects in a bucket."""
        owner = next(declared.owner for declared in BUCKETS if declared.name == bucket)
        objects = JetStreamBucket(await self.client(owner), bucket)
        names = [info.name async for info in objects.watch(follow=False) if info is not None]
        return [name for name in names if name.startswith(image_id)]

    async def dead_letters(self, consumer: str) -> list[DeadLetter]:
        """Return the dead letters of a durable consumer."""
        query = {"multi_last": [f"dead.v1.{consumer}.*"], "batch": 1000}
        client = await self.client("metadata")
        return [
            msgspec.json.decode(message.data, type=DeadLetter)
            async for message in api.direct_get_many(client, "DEAD_LETTERS", query)
        ]


@asynccontextmanager
async def running_system(
    folder: Path, environment: dict[str, str], scale: Mapping[str, int] | None = None
) -> AsyncIterator[System]:
    """Start a stack on free ports with its data in `folder`; stop it at the end.

    Pictures are analysed and nothing else, unless the environment says which tasks are planned:
    reading text takes seconds where tests share few cores.
    """
    environ = os.environ | {"TASKS": "analysis"} | environment
    async with Stack(data_dir=folder, port=0, nats_port=0, environ=environ, scale=scale) as stack:
        system = System(stack)
        try:
            yield system
        finally:
            await system.close()
