"""Questions of one service to another: on NATS with the services' permissions, and in memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import nats.errors
import pytest
from imagesystem import connection
from imagesystem.errors import Rejected, Transient, Unavailable
from imagesystem.events import Embedding
from imagesystem.events.questions import Embed, Embedded
from imagesystem.permissions import USERS, inbox_prefix
from imagesystem.questions import Questions
from imagesystem.questions.core import NatsQuestions
from imagesystem.questions.memory import MemoryQuestions
from imagesystem.topology import EXCHANGES
from local_stack import nats_config

from tests.conftest import nats_server

pytestmark = pytest.mark.contract

SUBJECT = EXCHANGES["embed"].subject
VECTOR = Embedding(dimensions=2, vector=bytes(8))


@pytest.fixture(scope="session")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the users and permissions of the system; `{}` is where the user goes."""
    folder = tmp_path_factory.mktemp("guarded")
    text = nats_config.render(USERS)
    text = re.sub(r"\$NATS_\w+_PASSWORD", "secret", text)
    text = text.replace("$NATS_SYNC", '"120s"').replace("$NATS_MAX_FILE_STORE", "1000000000")
    text = text.replace(f'include "{nats_config.ACCOUNTS_FILE}"', "")
    (folder / "nats.conf").write_text(text)
    with nats_server(folder, "-c", str(folder / "nats.conf")) as server:
        yield f"nats://{{}}:secret@127.0.0.1:{server.port}"


class Sides(NamedTuple):
    asker: Questions
    replicas: tuple[Questions, Questions]


@pytest.fixture(params=["memory", "nats"])
async def sides(request: pytest.FixtureRequest) -> AsyncIterator[Sides]:
    if request.param == "memory":
        twin = MemoryQuestions()
        yield Sides(twin, (twin, twin))
        return
    url = request.getfixturevalue("guarded_url")
    users = ("metadata", "inference", "inference")
    clients = [await connection.connect(url.format(user), user) for user in users]
    asker, *replicas = (NatsQuestions(client) for client in clients)
    yield Sides(asker, (replicas[0], replicas[1]))
    for client in clients:
        await client.close()


async def said(question: Embed) -> Embedded:
    return Embedded(model=f"of {question.text}", model_version="1", result=VECTOR)


def about(text: str = "a dog", patience_s: float = 30.0) -> Embed:
    return Embed(text=text, patience_s=patience_s)


async def test_an_answer_comes_back(sides: Sides) -> None:
    async with sides.replicas[0].answering("embed", said):
        answer = await sides.asker.ask(about())
    assert answer == Embedded(model="of a dog", model_version="1", result=VECTOR)


async def test_who_answers_is_there_at_once_and_then_no_more(sides: Sides) -> None:
    for _ in range(50):
        async with sides.replicas[0].answering("embed", said):
            await sides.asker.ask(about())
        with pytest.raises(Unavailable, match="is away"):
            await sides.asker.ask(about())


async def test_each_question_is_answered_once_and_replicas_share_them(sides: Sides) -> None:
    asked: dict[int, list[str | None]] = {0: [], 1: []}

    async def answered(number: int, question: Embed) -> Embedded:
        asked[number].append(question.text)
        return await said(question)

    first, second = sides.replicas
    async with (
        first.answering("embed", lambda question: answered(0, question)),
        second.answering("embed", lambda question: answered(1, question)),
    ):
        texts = [str(number) for number in range(60)]
        for text in texts:
            assert (await sides.asker.ask(about(text))).model == f"of {text}"
    assert sorted(map(str, asked[0] + asked[1])) == sorted(texts)
    assert asked[0]
    assert asked[1]


async def test_nobody_there_is_told_at_once(sides: Sides) -> None:
    with pytest.raises(Unavailable, match="inference is away") as raised:
        await sides.asker.ask(about(patience_s=600))
    assert raised.value.dependency == "inference"


async def test_a_refusal_is_raised_where_it_was_asked(sides: Sides) -> None:
    refused = Rejected(413, "too_long", "no", limit="TEXT", allowed=3, actual=5)
    errors = {
        "client": refused,
        "later": Transient("full", code="too_busy"),
        "broken": RuntimeError("nobody expected this"),
    }

    async def answer(question: Embed) -> Embedded:
        raise errors[str(question.text)]

    async with sides.replicas[0].answering("embed", answer):
        with pytest.raises(Rejected) as rejected:
            await sides.asker.ask(about("client"))
        error = rejected.value
        assert (error.status, error.code, error.message) == (413, "too_long", "no")
        assert (error.limit, error.allowed, error.actual) == ("TEXT", 3, 5)
        for text, code in (("later", "too_busy"), ("broken", "internal_error")):
            with pytest.raises(Transient) as transient:
                await sides.asker.ask(about(text))
            assert transient.value.code == code
            assert "nobody expected" not in transient.value.message


async def test_nothing_is_worked_on_for_nobody(sides: Sides) -> None:
    given_up = asyncio.Event()

    async def answer(question: Embed) -> Embedded:
        try:
            return await asyncio.get_running_loop().create_future()  # never
        finally:
            given_up.set()

    async with sides.replicas[0].answering("embed", answer):
        with pytest.raises(Transient) as raised:
            await sides.asker.ask(about(patience_s=0.2))
        assert raised.value.code == "deadline_exceeded"
        assert given_up.is_set()


async def test_what_is_in_work_at_the_end_is_finished_and_no_more_than_allowed_is(
    sides: Sides,
) -> None:
    most = EXCHANGES["embed"].at_once
    working, going = 0, asyncio.Event()
    full = asyncio.Event()

    async def answer(question: Embed) -> Embedded:
        nonlocal working
        working += 1
        if working == most:
            full.set()
        await going.wait()
        return await said(question)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        async with sides.replicas[0].answering("embed", answer):
            asked = [tasks.create_task(sides.asker.ask(about(str(n)))) for n in range(most)]
            await full.wait()
            with pytest.raises(Transient) as raised:
                await sides.asker.ask(about("one more"))
            assert raised.value.code == "too_busy"
            asyncio.get_running_loop().call_later(0.05, going.set)
        answers = await asyncio.gather(*asked)
    assert {each.model for each in answers} == {f"of {number}" for number in range(most)}


async def test_questions_that_cannot_be_read_are_refused(guarded_url: str) -> None:
    client = await connection.connect(guarded_url.format("metadata"), "metadata")
    other = await connection.connect(guarded_url.format("inference"), "inference")
    async with NatsQuestions(other).answering("embed", said):
        for body in (b"", b"{}", b'{"patience_s": "x"}', b"\xff"):
            reply = await client.request(SUBJECT, body, timeout=30)
            assert reply.headers is not None
            assert reply.headers["ce-type"] == "answers.v1.refused"
            assert b'"invalid_request"' in reply.data
    await client.close()
    await other.close()


async def test_only_metadata_asks_and_only_a_replica_of_inference_hears(guarded_url: str) -> None:
    """Least privilege, on the server: what is not declared is not possible."""
    clients = {
        user: await connection.connect(guarded_url.format(user), user)
        for user in ("registry", "image", "augmentation", "metadata", "inference")
    }
    heard: list[str] = []

    async def answer(question: Embed) -> Embedded:
        heard.append(str(question.text))
        return await said(question)

    async with NatsQuestions(clients["inference"]).answering("embed", answer):
        for user in ("registry", "image", "augmentation"):
            with pytest.raises(Unavailable):
                await NatsQuestions(clients[user]).ask(about(user, patience_s=0.0))
        assert heard == []
        eavesdropped: list[bytes] = []

        async def overhear(message: object) -> None:
            eavesdropped.append(getattr(message, "data", b""))

        for user, queue in (("image", ""), ("image", "inference"), ("inference", "")):
            await clients[user].subscribe(SUBJECT, queue=queue, cb=overhear)
            await clients[user].flush()
        await NatsQuestions(clients["metadata"]).ask(about("a secret"))
        assert heard == ["a secret"]
        assert eavesdropped == []
    for client in clients.values():
        await client.close()


async def test_an_answer_goes_to_whoever_asked_and_nowhere_else(guarded_url: str) -> None:
    """Neither unasked into another's inbox, nor onto a fact that a question names as its inbox."""
    asker = await connection.connect(guarded_url.format("metadata"), "metadata")
    other = await connection.connect(guarded_url.format("inference"), "inference")
    inbox = f"{inbox_prefix('metadata')}.somewhere"
    unasked = await asker.subscribe(inbox)
    await asker.flush()
    await other.publish(inbox, b"forged")
    await other.flush()

    fact = f"images.v1.{'0' * 8}-0000-8000-8000-{'0' * 12}.planned"
    facts = await asker.subscribe(fact)
    async with NatsQuestions(other).answering("embed", said):
        await asker.publish(SUBJECT, b'{"patience_s": 5, "text": "x"}', reply=fact)
        await NatsQuestions(asker).ask(about())  # comes after it, and is answered
    await asker.flush()
    for nothing in (unasked, facts):
        with pytest.raises(nats.errors.TimeoutError):
            await nothing.next_msg(timeout=0.2)
    await asker.close()
    await other.close()


def test_the_config_is_where_it_should_be(tmp_path: Path) -> None:
    """What is rendered says so for inference alone."""
    blocks = nats_config.render(USERS).split("user: ")[1:]
    allowed = {block.split()[0] for block in blocks if "allow_responses" in block}
    assert allowed == {"inference"}
