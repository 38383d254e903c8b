"""What this client writes, nats-py's object store reads, and the other way round."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import nats
import pytest
from imagesystem import ids
from imagesystem.errors import ObjectMissing
from imagesystem.objects import CHUNK_BYTES
from imagesystem.objects.jetstream import JetStreamBucket
from nats.aio.client import Client
from nats.js.api import ObjectMeta, ObjectMetaOptions
from nats.js.errors import ObjectNotFoundError
from nats.js.object_store import ObjectStore

pytestmark = pytest.mark.contract

SIZES = [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES, 300_000, 60 * 1024**2]


class Both:
    """One bucket, made by nats-py, seen through both clients."""

    def __init__(self, client: Client, ours: JetStreamBucket, theirs: ObjectStore) -> None:
        self.client, self.ours, self.theirs = client, ours, theirs


@pytest.fixture
async def both(nats_url: str) -> AsyncIterator[Both]:
    name = "i" + ids.new_id().replace("-", "")
    client = await nats.connect(nats_url)
    store = await client.jetstream().create_object_store(name)
    yield Both(client, JetStreamBucket(client, name), store)
    await client.jetstream().delete_object_store(name)
    await client.close()


async def messages(both: Both) -> int:
    status = await both.theirs.status()
    return int(status.stream_info.state.messages)


@pytest.mark.parametrize("size", SIZES)
async def test_theirs_reads_ours(both: Both, size: int) -> None:
    data = os.urandom(min(size, 1024**2)) * max(1, size // 1024**2)
    written = await both.ours.put("a/picture.png", data, metadata={"by": "us"})
    # written to a file, since their get copies everything for each chunk otherwise
    file = io.BytesIO()
    found = await both.theirs.get("a/picture.png", writeinto=file)
    assert file.getvalue() == data
    assert (found.info.name, found.info.size) == ("a/picture.png", len(data))
    assert (found.info.nuid, found.info.chunks) == (written.nuid, written.chunks)
    assert found.info.digest == (
        "SHA-256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    )
    assert found.info.options is not None
    assert found.info.options.max_chunk_size == CHUNK_BYTES


@pytest.mark.parametrize("size", SIZES)
async def test_ours_reads_theirs(both: Both, size: int) -> None:
    data = os.urandom(min(size, 1024**2)) * max(1, size // 1024**2)
    written = await both.theirs.put("a/picture.png", data)
    info, found = await both.ours.get("a/picture.png")
    assert found == data
    assert (info.size, info.nuid, info.chunks) == (len(data), written.nuid, written.chunks)
    assert info.digest == hashlib.sha256(data).hexdigest()
    assert datetime.now(UTC) - info.modified_at < timedelta(minutes=1)
    start, stop = len(data) // 3, len(data) // 3 + 200_000
    assert b"".join([p async for p in both.ours.read(info, start, stop)]) == data[start:stop]


async def test_either_replaces_what_the_other_wrote(both: Both) -> None:
    await both.theirs.put("a", os.urandom(300_000))
    await both.ours.put("a", b"ours")
    assert (await both.theirs.get("a")).data == b"ours"
    assert await messages(both) == 2
    await both.theirs.put("a", b"theirs")
    assert (await both.ours.get("a"))[1] == b"theirs"
    assert await messages(both) == 2


async def test_either_sees_what_the_other_deleted(both: Both) -> None:
    info = await both.ours.put("a", os.urandom(300_000))
    assert await both.ours.delete(info)
    with pytest.raises(ObjectNotFoundError):
        await both.theirs.get("a")
    await both.theirs.put("b", os.urandom(300_000))
    await both.theirs.delete("b")
    assert await both.ours.info("b") is None
    with pytest.raises(ObjectMissing):
        await both.ours.get("b")
    assert await messages(both) == 2
    assert [info async for info in both.ours.watch(follow=False)] == []


async def test_either_lists_what_both_wrote(both: Both) -> None:
    await both.ours.put("ours", b"1")
    await both.theirs.put("theirs", b"2")
    assert {info.name for info in await both.theirs.list()} == {"ours", "theirs"}
    listed = [info async for info in both.ours.watch(follow=False)]
    assert {info.name for info in listed if info is not None} == {"ours", "theirs"}


async def test_chunks_of_another_size(both: Both) -> None:
    data = os.urandom(100_000)
    options = ObjectMetaOptions(max_chunk_size=7_000)
    await both.theirs.put("a", data, ObjectMeta(name="a", options=options))
    info, found = await both.ours.get("a")
    assert (found, info.chunk_bytes) == (data, 7_000)
    assert (
        b"".join([p async for p in both.ours.read(info, 69_999, 90_001)]) == (data[69_999:90_001])
    )


@pytest.mark.parametrize("cuts", [[10, 250, 500], [300, 600], [1, 2, 3, 4]])
async def test_chunks_of_uneven_sizes(both: Both, cuts: list[int]) -> None:
    """Other clients cut where their source pauses; then a range cannot be computed."""
    data = os.urandom(1_000)
    edges = [0, *cuts, len(data)]
    js = both.client.jetstream()
    bucket = both.ours.name
    for start, stop in itertools.pairwise(edges):
        await js.publish(f"$O.{bucket}.C.uneven", data[start:stop])
    description = {
        "name": "a",
        "bucket": bucket,
        "nuid": "uneven",
        "size": len(data),
        "chunks": len(edges) - 1,
        "digest": "sha-256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode(),
        "mtime": "0001-01-01T00:00:00Z",
        "options": {"max_chunk_size": 500},
        "headers": {"a": ["b"]},
    }
    await js.publish(f"$O.{bucket}.M.YQ==", json.dumps(description).encode())
    info, found = await both.ours.get("a")
    assert found == data
    assert datetime.now(UTC) - info.modified_at < timedelta(minutes=1)
    for start, stop in ((0, 5), (5, 300), (299, 601), (640, 1_000), (999, 1_000)):
        assert b"".join([p async for p in both.ours.read(info, start, stop)]) == data[start:stop]


async def test_a_link_has_no_bytes(both: Both) -> None:
    description = {
        "name": "a",
        "bucket": both.ours.name,
        "nuid": "x",
        "options": {"link": {"bucket": "elsewhere", "name": "b"}},
    }
    subject = f"$O.{both.ours.name}.M.YQ=="
    await both.client.jetstream().publish(subject, json.dumps(description).encode())
    with pytest.raises(ObjectMissing):
        await both.ours.get("a")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"name":"a"}', b'{"name":1,"bucket":"b"}'])
async def test_an_unreadable_description_is_no_object(both: Both, body: bytes) -> None:
    await both.client.jetstream().publish(f"$O.{both.ours.name}.M.YQ==", body)
    with pytest.raises(ObjectMissing):
        await both.ours.get("a")
    assert [info async for info in both.ours.watch(follow=False)] == []
    await both.ours.put("b", b"1")
    assert (await both.ours.get("b"))[1] == b"1"
