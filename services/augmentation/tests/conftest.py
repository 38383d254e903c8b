from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from augmentation_service.app import create_app
from augmentation_service.settings import Settings
from imagesystem import ids
from imagesystem.events import Deleted, Uploaded
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from PIL import Image

Upload = Callable[..., Awaitable[str]]
Delete = Callable[..., Awaitable[None]]
Photo = Callable[..., bytes]

SETTINGS = Settings(workers=1, max_pixels=200_000, max_upload_bytes=300_000, max_steps=8)


@pytest.fixture(scope="session")
def photo() -> Photo:
    """Make a picture file: a gradient with a bright square, in any form and size."""

    def photo(
        form: str = "PNG", size: tuple[int, int] = (60, 40), mode: str = "RGB", **options: Any
    ) -> bytes:
        width, height = size
        y, x = np.mgrid[:height, :width]
        array = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1)
        array[: height // 4, : width // 4] = 255
        buffer = io.BytesIO()
        Image.fromarray(array.astype(np.uint8)).convert(mode).save(buffer, form, **options)
        return buffer.getvalue()

    return photo


@pytest.fixture(scope="session")
async def platform() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture(scope="session")
async def http(platform: MemoryPlatform) -> AsyncIterator[httpx.AsyncClient]:
    """The service, with one worker process, on a platform in memory."""
    async with client(create_app(SETTINGS, platform.connect)) as http:
        yield http


@pytest.fixture(scope="session")
def upload(platform: MemoryPlatform) -> Upload:
    """Do what the registry does when a picture comes; returns the image id."""

    async def upload(data: bytes) -> str:
        hasher = ids.ImageIdHasher()
        hasher.update(data)
        fact = Uploaded(
            image_id=hasher.image_id,
            filename="photo.png",
            media_type="image/png",
            size_bytes=len(data),
            width=60,
            height=40,
            frames=1,
            sha256=hasher.sha256,
            uploaded_at=ids.now(),
        )
        await platform.bucket("originals").put(fact.image_id, data)
        await platform.bus.publish(fact)
        return fact.image_id

    return upload


@pytest.fixture(scope="session")
def delete(platform: MemoryPlatform) -> Delete:
    """Do what the registry does when a picture is deleted."""

    async def delete(image_id: str, *, purge: bool = True) -> None:
        tombstone = Deleted(image_id=image_id, reason="test", deleted_at=ids.now())
        said = await platform.bus.publish(tombstone)
        if purge:
            await platform.bus.forget(f"images.v1.{image_id}.>", below=said.sequence)
            info = await platform.bucket("originals").info(image_id)
            if info is not None:
                await platform.bucket("originals").delete(info)
        await platform.bus.settle()

    return delete
