"""One suite for key-value buckets, on JetStream and on their in-memory twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from imagesystem import connection
from imagesystem.bus import provisioning
from imagesystem.errors import WrongSequence
from imagesystem.keyvalue import KeyValue
from imagesystem.keyvalue.jetstream import JetStreamKeyValue
from imagesystem.keyvalue.memory import MemoryKeyValue
from imagesystem.topology import KEY_VALUES

from tests.contract.streams import empty_streams

pytestmark = pytest.mark.contract


@pytest.fixture(params=["memory", "jetstream"])
async def keys(request: pytest.FixtureRequest) -> AsyncIterator[KeyValue]:
    if request.param == "memory":
        yield MemoryKeyValue("tasks")
        return
    client = await connection.connect(request.getfixturevalue("nats_url"), "augmentation")
    (declared,) = (found for found in KEY_VALUES if found.name == "tasks")
    async with empty_streams(client, [provisioning.key_value_config(declared)]):
        yield JetStreamKeyValue(client, "tasks")
    await client.close()


async def test_what_is_written_is_read(keys: KeyValue) -> None:
    assert await keys.get("augmentation.a") is None
    first = await keys.put("augmentation.a", b"1")
    second = await keys.put("augmentation.a", b"2")
    assert second > first
    entry = await keys.get("augmentation.a")
    assert entry is not None
    assert (entry.key, entry.value, entry.revision) == ("augmentation.a", b"2", second)


async def test_a_write_that_expects_something_else_is_refused(keys: KeyValue) -> None:
    revision = await keys.put("augmentation.a", b"1", expected=0)
    with pytest.raises(WrongSequence):
        await keys.put("augmentation.a", b"2", expected=0)
    await keys.put("augmentation.a", b"3", expected=revision)
    with pytest.raises(WrongSequence):
        await keys.put("augmentation.a", b"4", expected=revision)
    entry = await keys.get("augmentation.a")
    assert entry is not None
    assert entry.value == b"3"


async def test_of_several_keys_only_one_is_written(keys: KeyValue) -> None:
    async def attempt(outcome: str) -> bool:
        try:
            await keys.put(
                f"augmentation.t.7.{outcome}", b"", expected=0, among="augmentation.t.7.*"
            )
        except WrongSequence:
            return False
        return True

    await keys.put("augmentation.t.8.done", b"")
    won = await asyncio.gather(*(attempt(name) for name in ("done", "failed", "done", "failed")))
    assert sum(won) == 1
    assert await keys.count("augmentation.t.7.*") == 1
    assert await keys.count("augmentation.t.*.*") == 2


async def test_entries_come_in_pages_and_are_counted(keys: KeyValue) -> None:
    for number in range(25):
        await keys.put(f"augmentation.t.{number}.done", str(number).encode())
    await keys.put("augmentation.t.task", b"")
    await keys.put("augmentation.u.1.done", b"")
    pattern = "augmentation.t.*.done"
    assert await keys.count(pattern) == 25
    assert await keys.count("augmentation.t.>") == 26
    assert await keys.count("augmentation.nothing.>") == 0
    seen, after = [], 0
    while page := await keys.entries(pattern, after=after, limit=10):
        seen += [int(entry.value) for entry in page]
        after = page[-1].revision
    assert seen == list(range(25))
    last = await keys.last(pattern)
    assert last is not None
    assert last.value == b"24"
    assert await keys.last("augmentation.nothing.*") is None


async def test_what_is_removed_is_gone_and_can_be_written_again(keys: KeyValue) -> None:
    for name in ("a.1", "a.2", "b.1"):
        await keys.put(f"augmentation.{name}", b"")
    assert await keys.remove("augmentation.a.>") == 2
    assert await keys.get("augmentation.a.1") is None
    assert await keys.get("augmentation.b.1") is not None
    await keys.put("augmentation.a.1", b"", expected=0)


@pytest.mark.parametrize("key", ["", "a.", ".a", "a b", "a.*", "a.>", "a..b"])
async def test_a_pattern_is_no_key(keys: KeyValue, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        await keys.put(key, b"")
