"""What a bucket does when bytes are lost, changed, late, or the server goes away."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path

import pytest
from imagesystem import ids
from imagesystem.bus import provisioning
from imagesystem.errors import ObjectMissing, Unavailable
from imagesystem.objects import CHUNK_BYTES, answers, publications
from imagesystem.objects.inbox import Inbox
from imagesystem.objects.jetstream import JetStreamBucket, stream_config
from imagesystem.topology import Bucket
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.conftest import Server, nats_server
from tests.contract.test_objects import connect

pytestmark = pytest.mark.contract


class Store:
    """A bucket, its client and what is in its stream."""

    def __init__(self, client: Client, bucket: JetStreamBucket) -> None:
        self.client, self.bucket = client, bucket
        self.stream = f"OBJ_{bucket.name}"

    async def subjects(self) -> dict[str, int]:
        wanted = {"subjects_filter": f"$O.{self.bucket.name}.C.>"}
        answer = await provisioning.api.api_call(self.client, f"STREAM.INFO.{self.stream}", wanted)
        return dict(answer["state"].get("subjects") or {})

    async def remove(self, sequence: int) -> None:
        await provisioning.api.api_call(
            self.client, f"STREAM.MSG.DELETE.{self.stream}", {"seq": sequence}
        )


CLIENTS = ["nats-py", "wire"]


@pytest.fixture(params=CLIENTS)
async def store(request: pytest.FixtureRequest, nats_url: str) -> AsyncIterator[Store]:
    client = await connect(request.param, nats_url)
    name = "f" + ids.new_id().replace("-", "")
    await provisioning.ensure_stream(
        client, stream_config(Bucket(name=name, owner="registry", description="a test"))
    )
    yield Store(client, JetStreamBucket(client, name))
    await provisioning.api.api_call(client, f"STREAM.DELETE.OBJ_{name}")
    await client.close()


async def collect(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


@pytest.mark.parametrize("lost", [0, 7, 19])
async def test_an_object_that_lost_a_chunk_is_missing(store: Store, lost: int) -> None:
    info = await store.bucket.put("a", os.urandom(20 * CHUNK_BYTES))
    await store.remove(info.sequence - 20 + lost)
    with pytest.raises(ObjectMissing):
        await store.bucket.get("a")
    with pytest.raises(ObjectMissing):
        await collect(store.bucket.read(info))
    start = lost * CHUNK_BYTES
    with pytest.raises(ObjectMissing):
        await collect(store.bucket.read(info, start, start + 10))


@pytest.mark.parametrize("at", [0, 9, 19])
async def test_changed_bytes_are_noticed(
    store: Store, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    send, sent = Inbox.send, 0

    async def corrupting(
        self: Inbox, subject: str, payload: bytes, *rest: object, **more: object
    ) -> None:
        nonlocal sent
        if ".C." in subject:
            sent += 1
            if sent == at + 1:
                payload = bytes([payload[0] ^ 1]) + bytes(payload[1:])
        await send(self, subject, payload, *rest, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "send", corrupting)
        info = await store.bucket.put("a", os.urandom(20 * CHUNK_BYTES))
    with pytest.raises(ObjectMissing) as caught:
        await store.bucket.get("a")
    assert caught.value.code == "object_corrupt"
    got = 0
    with pytest.raises(ObjectMissing) as caught:
        async for piece in store.bucket.read(info):
            got += len(piece)
    assert caught.value.code == "object_corrupt"
    assert got < info.size, "whoever counts the bytes sees that the object did not arrive"


def losing(which: Callable[[str, int], bool]) -> Callable[..., object]:
    """Return a `send` that loses the messages for which `which` (subject, number) is true."""
    send, sent = Inbox.send, 0

    async def lossy(self: Inbox, subject: str, *rest: object, **more: object) -> None:
        nonlocal sent
        if subject.startswith("$O."):
            sent += 1
            if which(subject, sent):
                return
        await send(self, subject, *rest, **more)  # type: ignore[arg-type]

    return lossy


@pytest.mark.parametrize("lost", [{1}, {3, 4}, {20}, {21}])
async def test_what_got_lost_is_sent_again_and_put_in_order(
    store: Store, monkeypatch: pytest.MonkeyPatch, lost: set[int]
) -> None:
    monkeypatch.setattr(publications, "ACK_WAIT_S", 0.05)
    data = os.urandom(20 * CHUNK_BYTES)
    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "send", losing(lambda _, number: number in lost))
        info = await store.bucket.put("a", data)
    assert await store.bucket.get("a") == (info, data)
    assert list((await store.subjects()).values()) == [20]


@pytest.mark.parametrize("everything", [False, True])
async def test_lost_confirmations_do_no_harm(
    store: Store, monkeypatch: pytest.MonkeyPatch, everything: bool
) -> None:
    """The first answer to every message is lost; with `everything`, reads fail for that."""
    monkeypatch.setattr(publications, "ACK_WAIT_S", 0.05)
    monkeypatch.setattr(answers, "PATIENCE_S", 0.2)
    dispatch, seen, forgets = Inbox._dispatch, set[str](), True

    async def forgetful(self: Inbox, message: Msg) -> None:
        first = message.subject not in seen
        seen.add(message.subject)
        if not (forgets and first and (everything or b'"seq"' in message.data)):
            await dispatch(self, message)

    data = os.urandom(5 * CHUNK_BYTES)
    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "_dispatch", forgetful)
        bucket = JetStreamBucket(store.client, store.bucket.name)
        writing = bucket.put("a", data)
        if everything:
            # It cannot be told whether the description arrived; what arrived is left whole.
            with pytest.raises(Unavailable):
                await writing
        else:
            await writing
    forgets = False
    found, got = await store.bucket.get("a")
    assert got == data
    await bucket.put("b", b"")  # which would purge what was left behind
    assert await store.subjects() == {f"$O.{store.bucket.name}.C.{found.nuid}": 5}


async def test_a_busy_stream_is_asked_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    send, refused = Inbox.send, 0
    answer = b'{"error":{"code":429,"err_code":10167,"description":"too many requests"}}'

    async def busy(
        self: Inbox,
        subject: str,
        payload: bytes,
        token: str,
        index: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        nonlocal refused
        if ".C." in subject and refused < 6:
            refused += 1
            await self.client.publish(f"{self._prefix}{token}.{index}", answer)
            return
        await send(self, subject, payload, token, index, headers)

    data = os.urandom(10 * CHUNK_BYTES)
    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "send", busy)
        info = await store.bucket.put("a", data)
    assert refused == 6
    assert await store.bucket.get("a") == (info, data)
    assert list((await store.subjects()).values()) == [10]


async def test_nothing_is_left_when_the_server_never_confirms(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publications, "ACK_WAIT_S", 0.02)
    monkeypatch.setattr(publications, "GIVE_UP_S", 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "send", losing(lambda _, number: number > 2))
        with pytest.raises(Unavailable):
            await store.bucket.put("a", os.urandom(5 * CHUNK_BYTES))
    assert await store.subjects() == {}
    assert await store.bucket.info("a") is None


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_small_max_payload(kind: str, tmp_path: Path) -> None:
    (tmp_path / "nats.conf").write_text("max_payload: 65536\n")
    with nats_server(tmp_path, "-c", str(tmp_path / "nats.conf")) as server:
        client = await connect(kind, f"nats://127.0.0.1:{server.port}")
        config = stream_config(Bucket(name="small", owner="registry", description="a test"))
        await provisioning.ensure_stream(client, config)
        bucket = JetStreamBucket(client, "small")
        data = os.urandom(300_000)
        info = await bucket.put("a", data, metadata={"name": "x" * 1000})
        assert info.chunk_bytes <= 65536
        assert await bucket.get("a") == (info, data)
        assert await collect(bucket.read(info, 100_000, 200_000)) == data[100_000:200_000]
        assert client.stats["reconnects"] == 0
        await client.close()


@pytest.fixture(params=CLIENTS)
async def fragile(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Server, Client, JetStreamBucket]]:
    """A server of its own, to be stopped and started."""
    with nats_server(tmp_path) as server:
        client = await connect(request.param, f"nats://127.0.0.1:{server.port}")
        config = stream_config(Bucket(name="fragile", owner="registry", description="a test"))
        await provisioning.ensure_stream(client, config)
        bucket = JetStreamBucket(client, "fragile")
        yield server, client, bucket
        await bucket.settled()
        await client.close()


async def restart(server: Server) -> None:
    server.kill()
    await asyncio.to_thread(server.start)


async def test_a_restart_in_the_middle_of_a_put(
    fragile: tuple[Server, Client, JetStreamBucket],
) -> None:
    server, _, bucket = fragile
    pieces = [os.urandom(3 * CHUNK_BYTES) for _ in range(6)]

    async def source() -> AsyncIterator[bytes]:
        for number, piece in enumerate(pieces):
            yield piece
            if number == 2:
                await restart(server)

    info = await bucket.put("a", source())
    assert await bucket.get("a") == (info, b"".join(pieces))


async def test_watching_outlives_a_restart(
    fragile: tuple[Server, Client, JetStreamBucket],
) -> None:
    server, client, bucket = fragile
    first = await bucket.put("a", b"1")
    async with aclosing(bucket.watch()) as changes:  # type: ignore[type-var]
        assert await anext(changes) == first
        assert await anext(changes) is None
        following = asyncio.ensure_future(anext(changes))
        await restart(server)
        writer = await connect("nats-py", f"nats://127.0.0.1:{server.port}")
        second = await JetStreamBucket(writer, "fragile").put("b", b"2")
        assert await following == second
        assert client.stats["reconnects"] == 1
        await writer.close()


async def test_a_server_that_is_gone_is_unavailable_at_once(
    fragile: tuple[Server, Client, JetStreamBucket],
) -> None:
    server, client, bucket = fragile
    info = await bucket.put("a", b"1")
    server.kill()
    while client.is_connected:
        await asyncio.sleep(0.01)
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
    await asyncio.to_thread(server.start)


async def test_a_put_to_a_server_that_hangs_can_be_cancelled(
    fragile: tuple[Server, Client, JetStreamBucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _, bucket = fragile
    monkeypatch.setattr(publications, "ACK_WAIT_S", 0.1)
    monkeypatch.setattr(answers, "PATIENCE_S", 0.2)
    kept = await bucket.put("kept", b"1")
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    writing = [asyncio.create_task(bucket.put(str(n), os.urandom(8 * 1024**2))) for n in range(6)]
    await asyncio.wait(writing, timeout=0.5)
    for task in writing:
        task.cancel()
    ended = await asyncio.gather(*writing, return_exceptions=True)
    assert {type(error) for error in ended} <= {asyncio.CancelledError, Unavailable}
    server.process.send_signal(signal.SIGCONT)
    # What could not be purged then goes with the next put.
    while True:
        try:
            last = await bucket.put("last", b"2")
            break
        except Unavailable:
            await asyncio.sleep(0.05)
    store = Store(bucket._inbox.client, bucket)
    assert set(await store.subjects()) == {f"$O.fragile.C.{i.nuid}" for i in (kept, last)}


@pytest.mark.parametrize("kind", CLIENTS)
async def test_the_bytes_are_the_same_through_tls(kind: str, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(  # noqa: ASYNC221  before there is anything to wait for
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {key} -out {certificate} "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1",
        shell=True,
        check=False,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip(f"openssl makes no certificate: {made.stderr!r}")
    tls = ["--tls", f"--tlscert={certificate}", f"--tlskey={key}"]
    with nats_server(tmp_path, *tls) as server:
        trust = ssl.create_default_context(cafile=certificate)
        client = await connect(kind, f"tls://127.0.0.1:{server.port}", tls=trust)
        config = stream_config(Bucket(name="secret", owner="registry", description="a test"))
        await provisioning.ensure_stream(client, config)
        bucket = JetStreamBucket(client, "secret")
        data = os.urandom(3_000_000)
        await bucket.put("a", data)
        assert (await bucket.get("a"))[1] == data
        await client.close()
