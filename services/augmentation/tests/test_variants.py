from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from augmentation_service.measures import Measures
from augmentation_service.variants import Variants, object_name
from imagesystem import ids
from imagesystem.memory import MemoryPlatform
from imagesystem.metrics import Metrics
from imagesystem.objects.memory import MemoryBucket

ONE, OTHER = ids.image_id(b"one"), ids.image_id(b"other")


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket("variants")


@pytest.fixture
async def variants(bucket: MemoryBucket) -> AsyncIterator[Variants]:
    variants = Variants(bucket, Measures(Metrics()))
    following = asyncio.create_task(variants.follow())
    yield variants
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.001)


async def names_in(bucket: MemoryBucket) -> list[str]:
    return [info.name async for info in bucket.watch(follow=False) if info is not None]


async def test_variants_are_dropped_with_their_image(
    bucket: MemoryBucket, variants: Variants
) -> None:
    before = [object_name(ONE, str(number)) for number in range(3)]
    for name in (*before, object_name(OTHER, "0")):
        await bucket.put(name, b"pixels")
    assert await variants.of(ONE) == before
    later = object_name(ONE, "later")
    await bucket.put(later, b"pixels")

    async def known() -> bool:
        return later in await variants.of(ONE)

    await until(known)
    assert await variants.drop(ONE) == 4
    assert await names_in(bucket) == [object_name(OTHER, "0")]

    async def forgotten() -> bool:
        return await variants.of(ONE) == []

    await until(forgotten)
    assert await variants.drop(ONE) == 0


async def test_dropping_waits_for_the_index(bucket: MemoryBucket) -> None:
    await bucket.put(object_name(ONE, "0"), b"pixels")
    variants = Variants(bucket, Measures(Metrics()))
    assert variants.unhealthy
    dropping = asyncio.create_task(variants.drop(ONE))
    await asyncio.sleep(0)
    assert not dropping.done()
    following = asyncio.create_task(variants.follow())
    assert await dropping == 1
    assert variants.unhealthy is None
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert variants.unhealthy


async def test_the_index_is_built_anew_after_an_outage(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("augmentation_service.variants.RETRY_S", 0.001)
    bucket.down = True
    variants = Variants(bucket, Measures(Metrics()))
    following = asyncio.create_task(variants.follow())
    await asyncio.sleep(0)
    bucket.down = False
    await bucket.put(object_name(ONE, "0"), b"pixels")
    assert await variants.of(ONE) == [object_name(ONE, "0")]
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_the_service_drops_variants_when_it_hears_of_a_deletion(
    http: httpx.AsyncClient,
    platform: MemoryPlatform,
    upload: Callable[[bytes], Awaitable[str]],
    delete: Callable[[str], Awaitable[None]],
    photo: Callable[..., bytes],
) -> None:
    image_id = await upload(photo(size=(9, 9)))
    bucket = platform.bucket("variants")
    await bucket.put(object_name(image_id, "0"), b"pixels")
    await bucket.put(object_name(OTHER, "0"), b"pixels")
    await asyncio.sleep(0.01)  # the index learns of it; a variant's fact comes later still
    await delete(image_id)
    kept = await names_in(bucket)
    assert object_name(OTHER, "0") in kept
    assert not [name for name in kept if name.startswith(image_id)]
    assert (await http.get("/augmentation/health/ready")).json()["checks"] == {
        "nats": None,
        "variant_index": None,
        "augmentation-deleted": None,
        "variant_index_task": None,
        "augmentation-plans": None,
        "augmentation-units": None,
        "task_upkeep": None,
    }
