from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import httpx
import pytest
from image_service.app import create_app
from image_service.settings import Settings
from imagesystem import ids
from imagesystem.events import Deleted, Uploaded
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client

from services.image.tests.samples import quadrants, saved
from services.image.tests.signing import KEY

UPLOADED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

Upload = Callable[..., Awaitable[Uploaded]]


@pytest.fixture(scope="session")
async def platform() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture(scope="session")
async def http(platform: MemoryPlatform) -> AsyncIterator[httpx.AsyncClient]:
    """The service, with one worker process, on a platform in memory."""
    settings = Settings(workers=1, max_pixels=10_000_000, max_output_pixels=1_000_000)
    async with client(create_app(settings, platform.connect)) as http:
        yield http


@pytest.fixture(scope="session")
def fact() -> Callable[..., Uploaded]:
    """Return the fact about an original of these bytes."""

    def fact(data: bytes, **changes) -> Uploaded:
        hasher = ids.ImageIdHasher()
        hasher.update(data)
        return Uploaded(
            **{
                "image_id": hasher.image_id,
                "filename": "photo.jpg",
                "media_type": "image/jpeg",
                "size_bytes": len(data),
                "width": 96,
                "height": 64,
                "frames": 1,
                "sha256": hasher.sha256,
                "uploaded_at": UPLOADED_AT,
            }
            | changes
        )

    return fact


@pytest.fixture(scope="session")
def upload(platform: MemoryPlatform, fact: Callable[..., Uploaded]) -> Upload:
    """Do what the registry does when a picture comes."""

    async def upload(data: bytes, **changes) -> Uploaded:
        said = fact(data, **changes)
        await platform.bus.forget(f"images.v1.{said.image_id}.deleted")
        await platform.bucket("originals").put(said.image_id, data)
        await platform.bus.publish(said)
        return said

    return upload


@pytest.fixture(scope="session")
def delete(platform: MemoryPlatform) -> Callable[[str], Awaitable[None]]:
    """Do what the registry does when a picture is deleted."""

    async def delete(image_id: str) -> None:
        tombstone = Deleted(image_id=image_id, reason="test", deleted_at=ids.now())
        said = await platform.bus.publish(tombstone)
        await platform.bus.forget(f"images.v1.{image_id}.>", below=said.sequence)
        info = await platform.bucket("originals").info(image_id)
        if info is not None:
            await platform.bucket("originals").delete(info)

    return delete


@pytest.fixture(scope="session")
async def picture(upload):
    data = saved(quadrants(400, 200), "JPEG", quality=95)
    return await upload(data, width=400, height=200)


@pytest.fixture(scope="session")
async def strict(platform: MemoryPlatform) -> AsyncIterator[httpx.AsyncClient]:
    """A service that wants signatures, knows presets, and may show a fallback."""
    settings = Settings(
        workers=1,
        unsigned="originals",
        signing_keys=KEY,
        presets="thumb=width=40&height=40&fit=cover",
        max_transform_bytes=100_000,
    )
    async with client(create_app(settings, platform.connect)) as http:
        yield http
