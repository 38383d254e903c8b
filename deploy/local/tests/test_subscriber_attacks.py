"""What a subscriber from outside tries in vain, with plain nats-py.

After every attack the streams are looked at, not the answer. The same attack from within the
services' account overwrites a fact: were accounts no protection, these tests would say so. They
also run without the permissions of the subscriber's user, which leaves the account alone.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import nats
import nats.errors
import pytest
from imagesystem import connection
from imagesystem.bus import api, provisioning
from imagesystem.objects.jetstream import JetStreamBucket
from imagesystem.permissions import inbox_prefix
from imagesystem.topology import CONSUMERS
from local_stack import Stack, accounts, subscribers
from local_stack.accounts import Subscriber
from local_stack.homes import EmbeddedHome
from nats.aio.client import Client
from nats.aio.msg import Msg

pytestmark = pytest.mark.integration

VICTIM = "3c1666dd-8b4e-87eb-b961-cfddeec03b7b"
FACT = f"images.v1.{VICTIM}.uploaded"
GONE = f"images.v1.{VICTIM[:-1]}0.deleted"
INNOCENT = f"images.v1.{VICTIM[:-1]}1.uploaded"
TRUTH = b'{"image_id": "the truth"}'
META = f"$O.originals.M.{base64.urlsafe_b64encode(VICTIM.encode()).decode()}"
SECOND = 1_000_000_000
NO_JETSTREAM = 10039


class Attack(NamedTuple):
    """A request whose answer is to become a fact; `works`: in the services' account it does."""

    verb: str
    payload: bytes
    works: bool = True
    headers: dict[str, str] | None = None


PULLS = [
    Attack("pull", b""),
    Attack("pull", b"1"),
    Attack("pull", b'{"batch": 5, "no_wait": true}'),
    Attack("pull", b'{"batch": 3, "expires": 1000000000}'),
    Attack("pull", b'{"batch": 1, "expires": 1000000000, "idle_heartbeat": 100000000}'),
    # malformed: the answer is an error, which would overwrite just as well
    Attack("pull", b"{"),
    Attack("pull", b'{"batch": "many"}'),
    Attack("pull", b'{"batch": -1}', works=False),
    Attack("pull", b'{"batch": 1, "expires": -5}', works=False),
    Attack("pull", b'{"batch": 1, "idle_heartbeat": 100000000}'),
    Attack("pull", b'{"batch": 1, "group": "nobody"}', works=False),
    Attack("pull", b'{"batch": 1, "no_wait": true}', headers={"Nats-Trace-Dest": FACT}),
    Attack("pull", b"{", headers={"Nats-Trace-Dest": FACT, "Nats-Trace-Only": "true"}),
]
ACKS = [
    Attack("ack", b""),
    Attack("ack", b"+ACK"),
    Attack("ack", b"-NAK", works=False),
    Attack("ack", b"+WPI", works=False),
    Attack("ack", b"+TERM"),
    Attack("ack", b"+NXT"),
    Attack("ack", b'+NXT {"batch": 2, "no_wait": true}'),
    Attack("ack", b"+NXT {", works=False),
    Attack("ack", b"nonsense", works=False),
]
READS = [
    Attack("read", b'{"seq": 1}'),
    # its answer replaces all before it, which the stream of facts does not take
    Attack("read", json.dumps({"last_by_subj": META}).encode(), works=False),
    Attack("read", b'{"seq": 1, "batch": 10, "next_by_subj": "$O.originals.C.>"}'),
    Attack("read", b"{"),
    Attack("read", b'{"seq": 1000000}'),
]
INFOS = [Attack("info", b""), Attack("info", b"{"), Attack("stream info", b"")]

#: What is asked, by what a subscriber may do and what it may not.
SUBJECTS = {
    "pull": "$JS.API.CONSUMER.MSG.NEXT.IMAGES.{durable}",
    "ack": "$JS.ACK.IMAGES.{durable}.1.1.1.1.0",
    "read": "$JS.API.DIRECT.GET.OBJ_originals",
    "info": "$JS.API.CONSUMER.INFO.IMAGES.{durable}",
    "stream info": "$JS.API.STREAM.INFO.IMAGES",
}


def named(attack: Attack) -> str:
    trace = " traced" if attack.headers else ""
    return f"{attack.verb} {attack.payload.decode()[:40] or 'empty'}{trace}"


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[tuple[Client, asyncio.Queue[str]]]:
    """A client that is not ours, and what the server refuses it."""
    refusals: asyncio.Queue[str] = asyncio.Queue()

    async def on_error(error: Exception) -> None:
        refusals.put_nowait(str(error).lower())

    client = await nats.connect(url, error_cb=on_error, allow_reconnect=False, **options)
    try:
        yield client, refusals
    finally:
        await client.close()


@asynccontextmanager
async def service(stack: Stack, name: str) -> AsyncIterator[Client]:
    async with connected(stack.nats_url(name), inbox_prefix=inbox_prefix(name)) as (client, _):
        yield client


@pytest.fixture(scope="module")
async def own(
    tmp_path_factory: pytest.TempPathFactory, make_stack: Callable[..., Stack]
) -> AsyncIterator[Stack]:
    """A stack with facts and objects, which is this module's."""
    async with make_stack(tmp_path_factory.mktemp("attacks")) as running:
        async with service(running, "registry") as registry:
            await connection.provision(registry, "registry")
            await provisioning.ensure_consumer(registry, CONSUMERS["registry-deleted"])
            for number in range(4):
                await registry.request(GONE.replace("0.deleted", f"{number}.deleted"), b"{}")
            await JetStreamBucket(registry, "originals").put(VICTIM, b"a picture")
        yield running


@pytest.fixture(scope="module")
async def registry(own: Stack) -> AsyncIterator[Client]:
    """The services' account: what it sees and does is the control."""
    async with service(own, "registry") as client:
        await client.request(FACT, TRUTH)
        yield client


@pytest.fixture(scope="module", params=["as it is", "without permissions"])
async def mallory(
    own: Stack, registry: Client, request: pytest.FixtureRequest
) -> AsyncIterator[Subscriber]:
    """A subscriber; `without permissions` nothing but the account stands before JetStream."""
    home = EmbeddedHome(own.data_dir)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "without permissions":
            limited = 'permissions: {{publish: [{publish}], subscribe: ["_INBOX.>"]}}'
            assert limited in accounts._ACCOUNT
            patch.setattr(accounts, "_ACCOUNT", accounts._ACCOUNT.replace(limited, ""))
        made = await subscribers.create(
            home, "mallory", facts=["images.v1.>"], objects=["originals"]
        )
        neighbour = await subscribers.create(home, "neighbour", facts=["images.v1.*.deleted"])
        yield made
        for one in (made, neighbour):
            await subscribers.remove(home, one.name)


@pytest.fixture
def url(own: Stack, mallory: Subscriber) -> str:
    return subscribers.url(EmbeddedHome(own.data_dir), mallory)


async def state(registry: Client) -> dict[str, Any]:
    """Return what is stored, and what belongs to services: an attack changes none of it."""
    found: dict[str, Any] = {}
    for stream in ("IMAGES", "COMMANDS", "DEAD_LETTERS", "OBJ_originals", "KV_checkpoints"):
        info = await api.api_call(registry, f"STREAM.INFO.{stream}")
        kept = ("messages", "bytes", "first_seq", "last_seq", "consumer_count", "num_subjects")
        found[stream] = {name: info["state"].get(name) for name in kept}, info["config"]
    info = await api.api_call(registry, "CONSUMER.INFO.IMAGES.registry-deleted")
    found["durable"] = [info[name] for name in ("delivered", "ack_floor", "num_ack_pending")]
    held = await api.direct_get(registry, "IMAGES", FACT)
    assert held is not None
    return found | {"fact": (held.data, (held.headers or {})["Nats-Sequence"])}


async def settled(client: Client, mallory: Subscriber) -> None:
    """Return once the server has handled whatever the subscriber asked before.

    Its last question is a pull that is too long: the refusal comes after all other answers.
    """
    ask = SUBJECTS["pull"].format(durable=mallory.durable)
    answer = await client.request(ask, json.dumps({"expires": 3600 * SECOND}).encode(), timeout=10)
    assert (answer.headers or {})["Status"] == "409"


async def strike(client: Client, attack: Attack, durable: str, reply: str = FACT) -> None:
    subject = SUBJECTS[attack.verb].format(durable=durable)
    await client.publish(subject, attack.payload, reply=reply, headers=attack.headers)
    await client.flush()


@pytest.mark.parametrize("attack", [*PULLS, *ACKS, *READS, *INFOS], ids=named)
async def test_no_answer_becomes_a_fact(
    attack: Attack, own: Stack, registry: Client, mallory: Subscriber, url: str
) -> None:
    before = await state(registry)
    async with connected(url) as (client, _):
        await strike(client, attack, mallory.durable)
        # what waits is answered now, and what listens is given the next fact
        after = int((await api.api_call(registry, "STREAM.INFO.IMAGES"))["state"]["last_seq"])
        assert after == before["IMAGES"][0]["last_seq"]
        await registry.request(INNOCENT, b"{}")
        await strike(client, attack, mallory.durable)
        await settled(client, mallory)
    now = await state(registry)
    assert now["fact"] == before["fact"]
    # one more fact has been said: the innocent one, and no other
    assert now["IMAGES"][0]["last_seq"] == before["IMAGES"][0]["last_seq"] + 1
    rest = {name: value for name, value in now.items() if name != "IMAGES"}
    assert rest == {name: value for name, value in before.items() if name != "IMAGES"}


WORKING = [attack for attack in (*PULLS, *ACKS, *READS, *INFOS) if attack.works]


@pytest.mark.parametrize("attack", WORKING, ids=named)
async def test_in_the_services_account_the_same_answer_is_one(
    attack: Attack, own: Stack, registry: Client
) -> None:
    """The control: whoever shares the account of the stream overwrites facts by asking."""
    target = FACT.replace(VICTIM, f"{VICTIM[:-1]}9")
    async with service(own, "registry") as insider:
        await registry.request(target, TRUTH)
        if attack.verb == "ack":  # something has to be delivered to be acknowledged
            with suppress(nats.errors.TimeoutError):
                ask = SUBJECTS["pull"].format(durable="registry-deleted")
                await insider.request(ask, b'{"batch": 1, "no_wait": true}', timeout=1)
        headers = attack.headers and {
            name: target if value == FACT else value for name, value in attack.headers.items()
        }
        known = int((await api.api_call(registry, "STREAM.INFO.IMAGES"))["state"]["last_seq"])
        await strike(insider, attack._replace(headers=headers), "registry-deleted", reply=target)
        async with asyncio.timeout(10):
            while True:  # until there is a fact that nobody said
                said = json.loads((await registry.request(GONE, b"{}")).data)["seq"]
                if said > known + 1:
                    break
                known = said
                await asyncio.sleep(0.02)


FORBIDDEN = [
    FACT,
    f"images.v1.{VICTIM}.deleted",
    "commands.v1.infer.analysis.x",
    "dead.v1.registry-deleted.x",
    "$O.originals.C.x",
    META,
    "$KV.checkpoints.registry.x",
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.INFO.IMAGES",
    "$JS.API.STREAM.INFO.OBJ_originals",
    "$JS.API.STREAM.CREATE.STOLEN",
    "$JS.API.STREAM.UPDATE.IMAGES",
    "$JS.API.STREAM.PURGE.IMAGES",
    "$JS.API.STREAM.PURGE.OBJ_originals",
    "$JS.API.STREAM.DELETE.IMAGES",
    "$JS.API.STREAM.MSG.GET.IMAGES",
    "$JS.API.STREAM.MSG.GET.OBJ_originals",
    "$JS.API.STREAM.MSG.DELETE.IMAGES",
    "$JS.API.STREAM.SNAPSHOT.IMAGES",
    "$JS.API.DIRECT.GET.IMAGES",
    f"$JS.API.DIRECT.GET.IMAGES.{FACT}",
    "$JS.API.DIRECT.GET.COMMANDS",
    "$JS.API.DIRECT.GET.OBJ_variants",
    "$JS.API.DIRECT.GET.OBJ_renditions",
    "$JS.API.DIRECT.GET.KV_checkpoints",
    f"$JS.API.DIRECT.GET.OBJ_originals.{META}",
    "$JS.API.CONSUMER.NAMES.IMAGES",
    "$JS.API.CONSUMER.LIST.IMAGES",
    "$JS.API.CONSUMER.CREATE.IMAGES",
    "$JS.API.CONSUMER.CREATE.IMAGES.mine",
    "$JS.API.CONSUMER.CREATE.OBJ_originals.mine",
    "$JS.API.CONSUMER.DURABLE.CREATE.IMAGES.mine",
    "$JS.API.CONSUMER.DURABLE.CREATE.IMAGES.subscriber-mallory",
    "$JS.API.CONSUMER.INFO.IMAGES.subscriber-mallory",
    "$JS.API.CONSUMER.INFO.IMAGES.registry-deleted",
    "$JS.API.CONSUMER.DELETE.IMAGES.registry-deleted",
    "$JS.API.CONSUMER.DELETE.IMAGES.subscriber-neighbour",
    "$JS.API.CONSUMER.PAUSE.IMAGES.registry-deleted",
    "$JS.API.CONSUMER.MSG.NEXT.IMAGES.registry-deleted",
    "$JS.API.CONSUMER.MSG.NEXT.IMAGES.subscriber-neighbour",
    "$JS.ACK.IMAGES.registry-deleted.1.1.1.1.0",
    "$JS.ACK.IMAGES.subscriber-neighbour.1.1.1.1.0",
    "$JS.FC.IMAGES.registry-deleted.x",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.ACCOUNT.APP.INFO",
    "_INBOX_registry.x",
]
#: What would do harm, by the beginning of the subject; the rest is asked with an empty body.
BODIES = {
    "$JS.API.STREAM.CREATE": b'{"name": "STOLEN", "subjects": ["stolen.>"]}',
    "$JS.API.STREAM.UPDATE": b'{"name": "IMAGES", "subjects": ["images.v1.>"], "max_msgs": 1}',
    "$JS.API.STREAM.MSG": b'{"seq": 1}',
    "$JS.API.STREAM.SNAPSHOT": json.dumps({"deliver_subject": FACT}).encode(),
    "$JS.API.DIRECT.GET": b'{"seq": 1}',
    "$JS.API.CONSUMER.CREATE": json.dumps(
        {"stream_name": "OBJ_originals", "config": {"name": "mine", "deliver_subject": FACT}}
    ).encode(),
    "$JS.API.CONSUMER.DURABLE": json.dumps(
        {"stream_name": "IMAGES", "config": {"durable_name": "mine", "ack_policy": "explicit"}}
    ).encode(),
    "$JS.API.CONSUMER.PAUSE": b'{"pause_until": "2100-01-01T00:00:00Z"}',
}


def is_refusal(answer: Msg) -> bool:
    """Whether nobody serves it, or the server has no JetStream for this account."""
    if (answer.headers or {}).get("Status") == "503":
        return True
    return bool(json.loads(answer.data)["error"]["err_code"] == NO_JETSTREAM)


@pytest.mark.parametrize("subject", FORBIDDEN)
async def test_nothing_else_is_in_its_reach(
    subject: str, registry: Client, mallory: Subscriber, url: str
) -> None:
    body = next((body for start, body in BODIES.items() if subject.startswith(start)), b"{}")
    before = await state(registry)
    async with connected(url) as (client, refusals):
        inbox = client.new_inbox()
        answers = await client.subscribe(inbox)
        await client.publish(subject, body, reply=inbox)
        await client.publish(subject, body, reply=FACT)
        await client.flush()
        await settled(client, mallory)
        while not refusals.empty():
            assert "permissions violation for publish" in refusals.get_nowait()
        while answers.pending_msgs:
            assert is_refusal(await answers.next_msg())
    assert await state(registry) == before


@pytest.mark.parametrize(
    "subject",
    [">", "images.v1.>", "commands.v1.>", "$JS.>", "_R_.>", "$O.>", "$SYS.>", "_INBOX_registry.>"],
)
async def test_it_hears_nothing_that_was_not_sent_to_it(
    subject: str, own: Stack, registry: Client, mallory: Subscriber, url: str
) -> None:
    heard: list[str] = []

    async def on_message(message: Any) -> None:
        heard.append(message.subject)

    async with connected(url) as (client, _):
        for pattern in (subject, "_INBOX.>"):
            await client.subscribe(pattern, cb=on_message)
        await client.flush()
        home = EmbeddedHome(own.data_dir)
        neighbour = subscribers.find(home, "neighbour")
        async with connected(subscribers.url(home, neighbour)) as (other, _):
            facts = await other.jetstream().pull_subscribe_bind(neighbour.durable, "IMAGES")
            await registry.request(GONE, b"{}")
            for message in await facts.fetch(10, timeout=5):
                await message.ack_sync()
        await registry.request(INNOCENT, b"{}")
        await api.api_call(registry, "STREAM.INFO.IMAGES")
        await client.flush()
    assert heard == []


async def test_it_reads_what_it_was_given(
    own: Stack, registry: Client, mallory: Subscriber, url: str
) -> None:
    await registry.request(INNOCENT, b"{}")
    async with connected(url) as (client, _):
        facts = await client.jetstream().pull_subscribe_bind(mallory.durable, "IMAGES")
        subjects: set[str] = set()
        async with asyncio.timeout(60):  # what attacks were given comes again after half a minute
            while not {INNOCENT, FACT} & subjects:
                for message in await facts.fetch(50, timeout=40):
                    subjects.add(message.subject)
                    await message.ack_sync()
        query = json.dumps({"last_by_subj": META}).encode()
        answer = await client.request("$JS.API.DIRECT.GET.OBJ_originals", query)
        assert json.loads(answer.data)["name"] == VICTIM


async def test_a_forged_protocol_line_is_no_way_around(
    own: Stack, registry: Client, mallory: Subscriber, url: str
) -> None:
    """Without a client: what no library would send."""
    before = await state(registry)
    pull = SUBJECTS["pull"].format(durable=mallory.durable)
    login = {"user": mallory.durable, "pass": mallory.password, "verbose": False, "headers": True}
    lines = (
        f"PUB {pull} {FACT} 1\r\n{{\r\n",
        f"PUB {pull} $JS.API.STREAM.PURGE.IMAGES 1\r\n{{\r\n",
        f"PUB {pull} {pull} 1\r\n1\r\n",  # answers to itself
        f"PUB {pull} _R_.x 1\r\n1\r\n",
        f"HPUB {pull} {FACT} 12 13\r\nNATS/1.0\r\n\r\n{{\r\n",
        f"PUB {pull} $JS.ACK.IMAGES.registry-deleted.1.1.1.1.0 1\r\n1\r\n",
        f"PUB {pull} images.v1.*.uploaded 1\r\n1\r\n",
    )
    for line in lines:
        reader, writer = await asyncio.open_connection("127.0.0.1", own.parts["nats"].port)
        try:
            await reader.readline()  # INFO
            writer.write(f"CONNECT {json.dumps(login)}\r\n{line}PING\r\n".encode())
            await writer.drain()
            async with asyncio.timeout(10):
                while (said := await reader.readline()) and said != b"PONG\r\n":
                    pass
        finally:
            writer.close()
    async with connected(url) as (client, _):
        await settled(client, mallory)
    assert await state(registry) == before
