"""One suite for buckets, on JetStream and on their in-memory twin."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imagesystem import ids
from imagesystem.bus import provisioning
from imagesystem.errors import ObjectMissing, StoreFull, Unavailable
from imagesystem.objects import CHUNK_BYTES, Bucket
from imagesystem.objects.client import WireClient
from imagesystem.objects.jetstream import JetStreamBucket, stream_config
from imagesystem.objects.memory import MemoryBucket
from imagesystem.topology import Bucket as BucketConfig
from nats.aio.client import Client

pytestmark = pytest.mark.contract

MIB = 1024**2
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3_000_000]


class Subject:
    """A bucket, and how many bytes of chunks it really holds."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    async def chunks(self) -> int:
        if isinstance(self.bucket, MemoryBucket):
            return sum(map(len, self.bucket._chunks.values()))
        assert isinstance(self.bucket, JetStreamBucket)
        answer = await provisioning.api.api_call(
            self.bucket._inbox.client,
            f"STREAM.INFO.OBJ_{self.bucket.name}",
            {"subjects_filter": f"$O.{self.bucket.name}.C.>"},
        )
        return sum((answer["state"].get("subjects") or {}).values())


#: The twin, and the bucket on nats-py's own client and on the one with fewer copies.
KINDS = ["memory", "nats-py", "wire"]


async def connect(kind: str, url: str, **more: Any) -> Client:
    """Connect as services do, with an own inbox prefix and for ever."""
    client = WireClient() if kind == "wire" else Client()
    await client.connect(
        url,
        inbox_prefix="_INBOX_test",
        error_cb=ignore,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,  # type: ignore[arg-type]  # seconds, of any kind
        ping_interval=15,
        pending_size=4 * MIB,
        **more,
    )
    return client


async def ignore(_error: Exception) -> None:
    """The calls that fail say so."""


async def make(kind: str, url: str, **limits: object) -> tuple[Bucket, Client | None]:
    name = "b" + ids.new_id().replace("-", "")
    if kind == "memory":
        return MemoryBucket(name, **limits), None  # type: ignore[arg-type]
    client = await connect(kind, url)
    config = BucketConfig(name=name, owner="registry", description="a test", **limits)  # type: ignore[arg-type]
    await provisioning.ensure_stream(client, stream_config(config))
    return JetStreamBucket(client, name), client


async def discard(bucket: Bucket, client: Client | None) -> None:
    if isinstance(bucket, JetStreamBucket) and client is not None:
        await bucket.settled()
        await provisioning.api.api_call(client, f"STREAM.DELETE.OBJ_{bucket.name}")
        await client.close()


@pytest.fixture(params=KINDS)
async def subject(request: pytest.FixtureRequest, nats_url: str) -> AsyncIterator[Subject]:
    bucket, client = await make(request.param, nats_url)
    yield Subject(bucket)
    await discard(bucket, client)


@pytest.fixture
def bucket(subject: Subject) -> Bucket:
    return subject.bucket


async def pieces(data: bytes, sizes: Iterable[int]) -> AsyncIterator[bytes]:
    position = 0
    for size in sizes:
        yield data[position : position + size]
        position += size
        await asyncio.sleep(0)
    yield data[position:]


async def collect(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


async def test_a_digest_that_is_known_is_taken_and_verified_by_readers(bucket: Bucket) -> None:
    for data in (os.urandom(1000), os.urandom(3 * CHUNK_BYTES + 1)):
        known = hashlib.sha256(data).hexdigest()
        whole = await bucket.put("whole", data, digest=known)
        streamed = await bucket.put("streamed", pieces(data, [7, 900]), digest=known)
        assert (whole.digest, streamed.digest) == (known, known)
        assert (await bucket.get("whole"))[1] == (await bucket.get("streamed"))[1] == data
        await bucket.put("wrong", data, digest="0" * 64)
        with pytest.raises(ObjectMissing):
            await bucket.get("wrong")


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_come_back_as_they_went_in(bucket: Bucket, size: int) -> None:
    data = os.urandom(size)
    written = await bucket.put("a picture", data, metadata={"media_type": "image/png"})
    assert written.size == size
    assert written.digest == hashlib.sha256(data).hexdigest()
    assert written.metadata == {"media_type": "image/png"}
    assert written.chunks == -(-size // CHUNK_BYTES)
    assert await bucket.info("a picture") == written
    assert await bucket.get("a picture") == (written, data)
    assert await collect(bucket.read(written)) == data


async def test_sixty_mebibytes(bucket: Bucket) -> None:
    data = os.urandom(MIB) * 60
    written = await bucket.put("large", pieces(data, [5 * MIB] * 11))
    found, got = await bucket.get("large")
    assert found == written
    assert got == data
    assert (
        await collect(bucket.read(written, 59 * MIB + 7, 59 * MIB + 300_000))
        == (data[59 * MIB + 7 : 59 * MIB + 300_000])
    )


@pytest.mark.parametrize("name", ["ü/ö ä.png", "*", ">", "a.b", "x" * 1024])
async def test_any_name_will_do(bucket: Bucket, name: str) -> None:
    await bucket.put(name, b"1")
    assert (await bucket.get(name))[1] == b"1"


@pytest.mark.parametrize("name", ["", "x" * 1025, "ü" * 513])
async def test_a_name_has_a_length(bucket: Bucket, name: str) -> None:
    with pytest.raises(ValueError):
        await bucket.put(name, b"1")


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 0),
        (0, 1),
        (0, CHUNK_BYTES),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 1),
        (CHUNK_BYTES, 2 * CHUNK_BYTES),
        (2 * CHUNK_BYTES, None),
        (299_999, 300_000),
        (299_999, 10**9),
        (300_000, None),
        (10**9, None),
        (5, 3),
    ],
)
async def test_a_range_is_a_slice(bucket: Bucket, start: int, stop: int | None) -> None:
    data = os.urandom(300_000)
    info = await bucket.put("a", data)
    assert await collect(bucket.read(info, start, stop)) == data[start:stop]


async def test_a_range_is_not_counted_from_the_end(bucket: Bucket) -> None:
    info = await bucket.put("a", b"abc")
    with pytest.raises(ValueError):
        await collect(bucket.read(info, -1))


async def test_ranges_of_objects_whose_chunks_lie_between_each_other(bucket: Bucket) -> None:
    datas = {str(n): os.urandom(1_500_000 + n) for n in range(6)}
    infos = await asyncio.gather(*(bucket.put(name, data) for name, data in datas.items()))
    for info in infos:
        for start in range(0, info.size, 190_001):
            got = await collect(bucket.read(info, start, start + 140_000))
            assert got == datas[info.name][start : start + 140_000]


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
async def test_pieces_of_any_size(bucket: Bucket, data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 200_000), max_size=8))
    content = os.urandom(sum(sizes) + data.draw(st.integers(0, 200_000)))
    written = await bucket.put("a", pieces(content, sizes))
    assert await bucket.get("a") == (written, content)
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    assert await collect(bucket.read(written, start, stop)) == content[start:stop]


async def test_nothing_is_there_at_first(bucket: Bucket) -> None:
    assert await bucket.info("a") is None
    with pytest.raises(ObjectMissing):
        await bucket.get("a")


async def test_the_newer_object_replaces_the_older(subject: Subject) -> None:
    bucket = subject.bucket
    old = await bucket.put("a", os.urandom(300_000))
    new = await bucket.put("a", b"new")
    assert new.sequence > old.sequence
    assert await bucket.get("a") == (new, b"new")
    assert await subject.chunks() == 1
    with pytest.raises(ObjectMissing):
        await collect(bucket.read(old))


async def test_a_reader_notices_that_its_object_was_replaced(bucket: Bucket) -> None:
    info = await bucket.put("a", os.urandom(8 * MIB))
    async with aclosing(bucket.read(info)) as stream:  # type: ignore[type-var]
        await anext(stream)
        await bucket.put("a", b"new")
        with pytest.raises(ObjectMissing):
            await collect(stream)


async def test_deleting(subject: Subject) -> None:
    bucket = subject.bucket
    info = await bucket.put("a", os.urandom(300_000))
    assert await bucket.delete(info) is True
    assert await bucket.info("a") is None
    assert await subject.chunks() == 0
    with pytest.raises(ObjectMissing):
        await bucket.get("a")
    with pytest.raises(ObjectMissing):
        await collect(bucket.read(info))
    assert await bucket.delete(info) is False


async def test_what_was_replaced_is_not_deleted(bucket: Bucket) -> None:
    old = await bucket.put("a", b"old")
    new = await bucket.put("a", b"new")
    assert await bucket.delete(old) is False
    assert await bucket.get("a") == (new, b"new")


async def test_a_name_lives_again(subject: Subject) -> None:
    bucket = subject.bucket
    assert await bucket.delete(await bucket.put("a", b"old"))
    new = await bucket.put("a", b"new")
    assert await bucket.get("a") == (new, b"new")
    assert await subject.chunks() == 1


async def test_of_concurrent_writers_one_object_is_left_whole(subject: Subject) -> None:
    bucket = subject.bucket
    datas = [os.urandom(200_000 + n) for n in range(12)]
    infos = await asyncio.gather(*(bucket.put("a", data) for data in datas))
    info, data = await bucket.get("a")
    assert data in datas
    assert info == max(infos, key=lambda written: written.sequence)
    assert await subject.chunks() == 2


async def test_a_source_that_fails_leaves_nothing(subject: Subject) -> None:
    async def failing() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield os.urandom(CHUNK_BYTES)
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        await subject.bucket.put("a", failing())
    assert await subject.bucket.info("a") is None
    assert await subject.chunks() == 0


async def test_a_failed_replacement_leaves_the_old_object(subject: Subject) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield os.urandom(CHUNK_BYTES)
        raise ConnectionResetError

    old = await subject.bucket.put("a", b"old")
    with pytest.raises(ConnectionResetError):
        await subject.bucket.put("a", failing())
    assert await subject.bucket.get("a") == (old, b"old")
    assert await subject.chunks() == 1


@pytest.mark.parametrize("after", range(0, 40, 3))
async def test_cancelled_at_any_moment_it_is_whole_or_not_there(
    subject: Subject, after: int
) -> None:
    data = os.urandom(4 * MIB)
    writing = asyncio.create_task(subject.bucket.put("a", data))
    for _ in range(after):
        await asyncio.sleep(0)
    if writing.cancel():
        with pytest.raises(asyncio.CancelledError):
            await writing
    info = await subject.bucket.info("a")
    if info is None:
        assert await subject.chunks() == 0
    else:
        assert (await subject.bucket.get("a"))[1] == data
        assert await subject.chunks() == info.chunks


async def test_cancelled_while_it_waits_for_more_it_leaves_nothing(subject: Subject) -> None:
    waits = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield os.urandom(5 * CHUNK_BYTES)
        waits.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(subject.bucket.put("a", stalling()))
    await waits.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await subject.bucket.info("a") is None
    assert await subject.chunks() == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_full_bucket_refuses_and_takes_again(kind: str, nats_url: str) -> None:
    bucket, client = await make(kind, nats_url, max_bytes=MIB)
    first = await bucket.put("a", os.urandom(700_000))
    with pytest.raises(StoreFull):
        await bucket.put("b", os.urandom(700_000))
    assert await bucket.info("b") is None
    assert await Subject(bucket).chunks() == first.chunks
    assert await bucket.delete(first)
    await bucket.put("b", os.urandom(700_000))
    await discard(bucket, client)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_full_cache_drops_the_oldest(kind: str, nats_url: str) -> None:
    bucket, client = await make(kind, nats_url, max_bytes=2 * MIB, cache=True)
    for n in range(8):
        await bucket.put(str(n), os.urandom(400_000))
    with pytest.raises(ObjectMissing):
        await bucket.get("0")
    assert len((await bucket.get("7"))[1]) == 400_000
    again = await bucket.put("0", b"again")
    assert await bucket.get("0") == (again, b"again")
    await discard(bucket, client)


async def test_watching_without_following_lists(bucket: Bucket) -> None:
    assert [info async for info in bucket.watch(follow=False)] == []
    kept = [await bucket.put(name, name.encode()) for name in "abc"]
    assert await bucket.delete(await bucket.put("d", b"d"))
    kept[1] = await bucket.put("b", b"newer")
    listed = [info async for info in bucket.watch(follow=False)]
    assert sorted(listed, key=lambda info: info.name) == kept  # type: ignore[union-attr]


async def test_thousands_are_listed(bucket: Bucket) -> None:
    """More than the server sends before it wants to hear that it may go on."""
    names = iter(range(4_000))

    async def write() -> None:
        for name in names:
            await bucket.put(f"{name:0200}", b"")

    await asyncio.gather(*(write() for _ in range(50)))
    listed = [info.name async for info in bucket.watch(follow=False) if info is not None]
    assert sorted(listed) == [f"{name:0200}" for name in range(4_000)]


async def test_watching(bucket: Bucket) -> None:
    first = await bucket.put("a", b"1")
    async with aclosing(bucket.watch()) as changes:  # type: ignore[type-var]
        assert await anext(changes) == first
        assert await anext(changes) is None
        second = await bucket.put("a", b"2")
        assert await anext(changes) == second
        assert await bucket.delete(second)
        gone = await anext(changes)
        assert gone is not None
        assert (gone.name, gone.deleted) == ("a", True)
        third = await bucket.put("b", b"3")
        assert await anext(changes) == third


async def test_two_watch_at_once(bucket: Bucket) -> None:
    async with aclosing(bucket.watch()) as one, aclosing(bucket.watch()) as two:  # type: ignore[type-var]
        assert await anext(one) is None
        assert await anext(two) is None
        written = await bucket.put("a", b"1")
        assert await anext(one) == written
        assert await anext(two) == written


async def test_many_at_once(bucket: Bucket) -> None:
    datas = {f"{n}": os.urandom(50_000 + 40_000 * (n % 10)) for n in range(40)}
    await asyncio.gather(*(bucket.put(name, data) for name, data in datas.items()))
    found = await asyncio.gather(*(bucket.get(name) for name in datas))
    assert {info.name: data for info, data in found} == datas
    streamed = await asyncio.gather(*(collect(bucket.read(info)) for info, _ in found))
    assert streamed == list(datas.values())


async def test_a_reader_may_stop_early(bucket: Bucket) -> None:
    info = await bucket.put("a", os.urandom(8 * MIB))
    before = asyncio.all_tasks()
    for _ in range(20):
        async with aclosing(bucket.read(info)) as stream:  # type: ignore[type-var]
            await anext(stream)
    assert asyncio.all_tasks() <= before, "no reader is left behind"
    assert len((await bucket.get("a"))[1]) == 8 * MIB


async def test_a_store_that_is_down_is_unavailable(subject: Subject) -> None:
    bucket = subject.bucket
    info = await bucket.put("a", b"1")
    if isinstance(bucket, MemoryBucket):
        bucket.down = True
    else:
        assert isinstance(bucket, JetStreamBucket)
        await provisioning.api.api_call(bucket._inbox.client, f"STREAM.DELETE.OBJ_{bucket.name}")
    for call in (
        bucket.put("b", b"1"),
        bucket.info("a"),
        bucket.get("a"),
        collect(bucket.read(info)),
        bucket.delete(info),
        anext(bucket.watch()),
    ):
        with pytest.raises(Unavailable):
            await call
    if isinstance(bucket, JetStreamBucket):  # discarded at the end like any other
        config = BucketConfig(name=bucket.name, owner="registry", description="again")
        await provisioning.ensure_stream(bucket._inbox.client, stream_config(config))
