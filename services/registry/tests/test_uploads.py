"""An upload among crashes, retries, deletions and other processes."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from imagesystem import ids
from imagesystem.bus import Said
from imagesystem.bus.memory import MemoryBus
from imagesystem.errors import Rejected, StoreFull, Unavailable
from imagesystem.events import Deleted, Event, Failed, Planned, Uploaded
from imagesystem.memory import MemoryPlatform
from imagesystem.metrics import Metrics
from imagesystem.objects.memory import MemoryBucket
from imagesystem.spools import Spools
from registry_service.deletions import Deletions
from registry_service.locks import Locks
from registry_service.measures import Measures
from registry_service.structure import Limits
from registry_service.uploads import Accepted, Uploads

Samples = dict[str, bytes]


class Registry:
    """The domain of one registry process on a platform that others may share."""

    def __init__(self, platform: MemoryPlatform) -> None:
        self.platform, self.bus = platform, platform.bus
        self.originals: MemoryBucket = platform.bucket("originals")
        locks = Locks()
        self.deletions = Deletions(self.bus, self.originals, locks)
        self.uploads = Uploads(
            bus=self.bus,
            originals=self.originals,
            deletions=self.deletions,
            locks=locks,
            measures=Measures(Metrics()),
            limits=Limits(),
            max_validations=2,
        )

    async def upload(
        self, data: bytes, name: str = "a.jpg", tags: list[str] | None = None
    ) -> Accepted:
        with Spools(memory_each=2**20, memory_all=2**20).open("public") as spool:
            await spool.write(data)
            await spool.finish()
            return await self.uploads.accept(spool, name, tags or [])

    async def sequence(self, image_id: str, kind: str) -> int:
        found = await self.bus.latest(f"images.v1.{image_id}.{kind}")
        assert found is not None
        return found.sequence


@pytest.fixture
def registry() -> Registry:
    return Registry(MemoryPlatform())


def kinds(registry: Registry) -> list[str]:
    return [subject.split(".", 3)[3] for subject in registry.bus.log]


async def test_a_picture_is_stored_and_announced(registry: Registry, samples: Samples) -> None:
    data = samples["jpeg-exif"]
    accepted = await registry.upload(data, "my photo.jpg", ["a", "b"])
    fact = accepted.uploaded
    assert not accepted.duplicate
    assert fact.image_id == ids.image_id(data)
    assert (fact.filename, fact.tags, fact.media_type) == ("my photo.jpg", ["a", "b"], "image/jpeg")
    assert (fact.width, fact.height, fact.frames, fact.size_bytes) == (61, 43, 1, len(data))
    assert fact.exif is not None
    info, stored = await registry.originals.get(fact.image_id)
    assert stored == data
    assert info.digest == fact.sha256
    assert info.metadata == {"media_type": "image/jpeg", "filename": "my photo.jpg"}
    said = await registry.bus.latest(fact.subject)
    assert said is not None
    assert said.event == fact


async def test_the_same_again_changes_nothing(registry: Registry, samples: Samples) -> None:
    first = await registry.upload(samples["png"], "first.png", ["one"])
    before = await registry.sequence(first.uploaded.image_id, "uploaded")
    again = await registry.upload(samples["png"], "second.png", ["two"])
    assert again == Accepted(first.uploaded, duplicate=True)
    assert await registry.sequence(first.uploaded.image_id, "uploaded") == before


async def test_many_at_once_are_one(registry: Registry, samples: Samples) -> None:
    results = await asyncio.gather(*(registry.upload(samples["gif"]) for _ in range(8)))
    assert [result.duplicate for result in results].count(False) == 1
    assert len({result.uploaded.uploaded_at for result in results}) == 1
    assert registry.originals.sequence == 1


async def test_two_processes_at_once_say_it_once(samples: Samples) -> None:
    platform = MemoryPlatform()
    one, two = Registry(platform), Registry(platform)
    results = await asyncio.gather(
        *(process.upload(samples["gif"]) for process in (one, two) for _ in range(4))
    )
    assert [result.duplicate for result in results].count(False) == 1
    assert platform.bus.sequence == 1
    assert (await platform.bucket("originals").get(results[0].uploaded.image_id))[1] == samples[
        "gif"
    ]


async def test_bytes_without_a_fact_are_announced_and_not_put_again(
    registry: Registry, samples: Samples
) -> None:
    data = samples["webp"]
    await registry.originals.put(ids.image_id(data), data)  # a crash came after this
    accepted = await registry.upload(data)
    assert not accepted.duplicate
    assert kinds(registry) == ["uploaded"]
    assert registry.originals.sequence == 1


async def test_other_bytes_under_the_id_are_replaced(registry: Registry, samples: Samples) -> None:
    data = samples["webp"]
    await registry.originals.put(ids.image_id(data), data[:-1])
    await registry.upload(data)
    assert (await registry.originals.get(ids.image_id(data)))[1] == data


async def test_what_is_no_picture_leaves_nothing(registry: Registry, samples: Samples) -> None:
    with pytest.raises(Rejected):
        await registry.upload(samples["png"][:-1])
    assert kinds(registry) == []
    assert registry.originals.used_bytes == 0


async def test_a_store_that_is_down_or_full_leaves_nothing(
    registry: Registry, samples: Samples
) -> None:
    registry.originals.max_bytes = 100
    with pytest.raises(StoreFull):
        await registry.upload(samples["png"])
    registry.originals.max_bytes, registry.originals.down = -1, True
    with pytest.raises(Unavailable):
        await registry.upload(samples["png"])
    registry.originals.down, registry.bus.down = False, True
    with pytest.raises(Unavailable):
        await registry.upload(samples["png"])
    registry.bus.down = False
    assert kinds(registry) == []
    assert registry.originals.used_bytes == 0
    assert not (await registry.upload(samples["png"])).duplicate


class FullBus(MemoryBus):
    """A bus that refuses some facts for lack of room."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: Callable[[Event], bool] = lambda event: False

    async def publish(self, event: Event, *, expected: int | None = None) -> Said:
        if self.refused(event):
            raise StoreFull("the stream is full")
        return await super().publish(event, expected=expected)


@pytest.fixture
def full() -> tuple[Registry, FullBus]:
    platform = MemoryPlatform()
    platform.bus = bus = FullBus()
    return Registry(platform), bus


async def test_bytes_whose_fact_is_refused_are_taken_back(
    full: tuple[Registry, FullBus], samples: Samples
) -> None:
    registry, bus = full
    bus.refused = lambda event: isinstance(event, Uploaded)
    with pytest.raises(StoreFull):
        await registry.upload(samples["png"])
    assert registry.originals.used_bytes == 0
    bus.refused = lambda event: False
    assert not (await registry.upload(samples["png"])).duplicate


async def test_bytes_that_another_took_back_are_put_again(
    full: tuple[Registry, FullBus], samples: Samples
) -> None:
    registry, bus = full
    data = samples["png"]
    theirs = await registry.originals.put(ids.image_id(data), data)

    async def take_back(event: Event, *, expected: int | None = None) -> Said:
        await registry.originals.delete(theirs)
        return await FullBus.publish(bus, event, expected=expected)

    bus.publish = take_back  # type: ignore[method-assign]
    await registry.upload(data)
    assert (await registry.originals.get(ids.image_id(data)))[1] == data


@pytest.mark.parametrize("gone", ["derived", "original", "uploaded"])
async def test_a_deletion_makes_room_for_its_tombstone(
    full: tuple[Registry, FullBus], samples: Samples, gone: str
) -> None:
    registry, bus = full
    image_id = (await registry.upload(samples["png"])).uploaded.image_id
    await bus.publish(planned(image_id))

    def no_room(event: Event) -> bool:
        there = {
            "derived": "planned" in kinds(registry),
            "original": registry.originals.used_bytes > 0,
            "uploaded": "uploaded" in kinds(registry),
        }
        return isinstance(event, Deleted) and there[gone]

    bus.refused = no_room
    await registry.deletions.delete(image_id)
    await registry.deletions.carry_out(image_id, await registry.sequence(image_id, "deleted"))
    assert kinds(registry) == ["deleted"]
    assert registry.originals.used_bytes == 0


async def test_a_deletion_without_any_room_says_so(
    full: tuple[Registry, FullBus], samples: Samples
) -> None:
    registry, bus = full
    image_id = (await registry.upload(samples["png"])).uploaded.image_id
    bus.refused = lambda event: isinstance(event, Deleted)
    with pytest.raises(StoreFull):
        await registry.deletions.delete(image_id)


async def test_a_deleted_image_lives_again(registry: Registry, samples: Samples) -> None:
    first = (await registry.upload(samples["png"], "old.png", ["old"])).uploaded
    await registry.bus.publish(planned(first.image_id))
    await registry.deletions.delete(first.image_id)
    again = await registry.upload(samples["png"], "new.png", ["new"])
    assert not again.duplicate
    assert (again.uploaded.filename, again.uploaded.tags) == ("new.png", ["new"])
    assert kinds(registry) == ["uploaded"]
    assert (await registry.originals.get(first.image_id))[1] == samples["png"]


async def test_the_purge_of_an_old_tombstone_spares_the_new_life(
    registry: Registry, samples: Samples
) -> None:
    image_id = (await registry.upload(samples["png"])).uploaded.image_id
    await registry.deletions.delete(image_id)
    old = await registry.sequence(image_id, "deleted")
    await registry.upload(samples["png"])
    await registry.deletions.carry_out(image_id, old)
    assert kinds(registry) == ["uploaded"]
    assert (await registry.originals.get(image_id))[1] == samples["png"]


async def test_a_purge_overtaken_by_an_upload_spares_it(samples: Samples) -> None:
    """The purge stops at every step in turn while another process uploads the image again."""
    for step in range(4):
        platform = MemoryPlatform()
        purging, uploading = Registry(platform), Registry(platform)
        image_id = (await uploading.upload(samples["png"])).uploaded.image_id
        await uploading.deletions.delete(image_id)
        sequence = await uploading.sequence(image_id, "deleted")
        again = functools.partial(uploading.upload, samples["png"])
        interrupted = Interrupted(purging, step, again)
        await interrupted.carry_out(image_id, sequence)
        assert kinds(uploading) == ["uploaded"], step
        assert (await platform.bucket("originals").get(image_id))[1] == samples["png"], step


class Interrupted:
    """Carries a tombstone out, and lets something else happen before the nth call to a port."""

    def __init__(self, registry: Registry, step: int, meanwhile: Callable[[], object]) -> None:
        self.calls, self.step, self.meanwhile = 0, step, meanwhile
        self.deletions = Deletions(
            Between(registry.bus, self.count),  # type: ignore[arg-type]
            Between(registry.originals, self.count),  # type: ignore[arg-type]
            Locks(),
        )

    async def carry_out(self, image_id: str, sequence: int) -> None:
        await self.deletions.carry_out(image_id, sequence)

    async def count(self) -> None:
        self.calls += 1
        if self.calls == self.step + 1:
            await self.meanwhile()  # type: ignore[misc]


class Between:
    """A port whose calls are counted before they are made."""

    def __init__(self, port: object, before: Callable[[], object]) -> None:
        self._port, self._before = port, before

    def __getattr__(self, name: str) -> object:
        async def call(*args: object, **kwargs: object) -> object:
            await self._before()  # type: ignore[misc]
            return await getattr(self._port, name)(*args, **kwargs)

        return call


async def test_an_upload_overtaken_by_a_deletion_is_healed(samples: Samples) -> None:
    """Another process uploads and deletes the image between any two steps of an upload."""
    for step in range(7):
        platform = MemoryPlatform()
        other, mine = Registry(platform), Registry(platform)

        async def meanwhile(other: Registry = other) -> None:
            fact = (await other.upload(samples["png"])).uploaded
            await other.deletions.delete(fact.image_id)
            sequence = await other.sequence(fact.image_id, "deleted")
            await other.deletions.carry_out(fact.image_id, sequence)

        interrupted = Interrupted(mine, step, meanwhile)
        mine.uploads._bus = Between(mine.bus, interrupted.count)  # type: ignore[assignment]
        mine.uploads._originals = Between(mine.originals, interrupted.count)  # type: ignore[assignment]
        accepted = await mine.upload(samples["png"])
        assert await state(platform, accepted.uploaded.image_id) in (
            # alive, with its bytes; or deleted after the upload had been answered for
            {"uploaded", "original"},
            {"deleted"},
        ), step


async def state(platform: MemoryPlatform, image_id: str) -> set[str]:
    found = {subject.split(".", 3)[3] for subject in platform.bus.log}
    if await platform.bucket("originals").info(image_id) is not None:
        found.add("original")
    return found


def planned(image_id: str) -> Planned:
    return Planned(image_id=image_id, tasks=["analysis"], planned_at=ids.now())


async def test_deleting_purges_facts_and_original(registry: Registry, samples: Samples) -> None:
    kept = (await registry.upload(samples["gif"])).uploaded
    fact = (await registry.upload(samples["png"])).uploaded
    failed = Failed(
        image_id=fact.image_id, stage="x", code="c", message="m", attempts=1, failed_at=ids.now()
    )
    for event in (planned(fact.image_id), failed):
        await registry.bus.publish(event)
    tombstone = await registry.deletions.delete(fact.image_id)
    assert tombstone.reason == "requested"
    sequence = await registry.sequence(fact.image_id, "deleted")
    for _ in range(2):  # delivered twice
        await registry.deletions.carry_out(fact.image_id, sequence)
        assert await state_of(registry, fact.image_id) == {"deleted"}
    assert await state_of(registry, kept.image_id) == {"uploaded", "original"}


async def state_of(registry: Registry, image_id: str) -> set[str]:
    facts = await registry.bus.facts(image_id)
    original = await registry.originals.info(image_id)
    return {fact.event.kind for fact in facts} | ({"original"} if original else set())


async def test_deleting_twice_says_it_once(registry: Registry, samples: Samples) -> None:
    image_id = (await registry.upload(samples["png"])).uploaded.image_id
    results = await asyncio.gather(*(registry.deletions.delete(image_id) for _ in range(4)))
    assert len({msgspec.json.encode(result) for result in results}) == 1
    assert await registry.sequence(image_id, "deleted") == registry.bus.sequence == 2


async def test_two_processes_delete_once(samples: Samples) -> None:
    platform = MemoryPlatform()
    processes = [Registry(platform) for _ in range(4)]
    image_id = (await processes[0].upload(samples["png"])).uploaded.image_id
    results = await asyncio.gather(*(one.deletions.delete(image_id) for one in processes))
    assert len({result.deleted_at for result in results}) == 1
    assert platform.bus.sequence == 2


async def test_what_never_was_cannot_be_deleted(registry: Registry) -> None:
    with pytest.raises(Rejected) as caught:
        await registry.deletions.delete(ids.image_id(b"never"))
    assert (caught.value.status, caught.value.code) == (404, "unknown_image")


async def test_a_failed_put_leaves_nothing(registry: Registry, samples: Samples) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield samples["png"]
        raise Unavailable("objects")

    with pytest.raises(Unavailable):
        await registry.originals.put("x", broken())
    assert registry.originals.used_bytes == 0


def test_the_fact_stays_small() -> None:
    """A fact is at most 256 KiB: the longest filename, tags and EXIF together stay far below."""
    longest = Uploaded(
        image_id=ids.image_id(b""),
        filename="é" * 127,
        media_type="image/jpeg",
        size_bytes=2**40,
        width=2**31,
        height=2**31,
        frames=2**31,
        sha256="f" * 64,
        uploaded_at=ids.now(),
        tags=["\U0001f600" * 100] * 100,
    )
    assert len(msgspec.json.encode(longest)) < 64 * 1024
    assert len(msgspec.json.encode(Deleted(image_id="", reason="r", deleted_at=ids.now()))) < 1024
