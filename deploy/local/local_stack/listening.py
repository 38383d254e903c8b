"""The program that a new subscriber gets: plain nats-py, ready to run."""

from __future__ import annotations

from textwrap import indent

from local_stack.accounts import Subscriber

__all__ = ["program"]

_HEAD = '''\
"""Hear {facts} as the subscriber {name!r}.

Needs nats-py: pip install nats-py
"""

import asyncio
{imports}import json

import nats
import nats.errors

SERVERS = {servers}
DURABLE = "{durable}"

'''

_READ = '''
async def read_object(connection: nats.NATS, bucket: str, name: str) -> bytes:
    """Return the bytes of an object; raises LookupError if there is none (any more).

    By direct gets (NATS ADR-20 and ADR-31): other ways to read need rights to make consumers.
    """
    ask = f"$JS.API.DIRECT.GET.OBJ_{bucket}"
    encoded = base64.urlsafe_b64encode(name.encode()).decode()
    query = {"last_by_subj": f"$O.{bucket}.M.{encoded}"}
    answer = await connection.request(ask, json.dumps(query).encode(), timeout=10)
    found = json.loads(answer.data or b"{}")
    if not found or found.get("deleted"):
        raise LookupError(f"{bucket} holds no {name}")
    inbox = connection.new_inbox()
    answers = await connection.subscribe(inbox)
    data, sequence = b"", 1
    try:
        while len(data) < found["size"]:
            query = {"seq": sequence, "batch": 16, "next_by_subj": f"$O.{bucket}.C.{found['nuid']}"}
            await connection.publish(ask, json.dumps(query).encode(), reply=inbox)
            while "Status" not in ((message := await answers.next_msg(10)).headers or {}):
                data += message.data
                sequence = int(message.headers["Nats-Sequence"]) + 1
            if message.headers["Status"] != "204":  # 204: the end of a batch
                break
    finally:
        await answers.unsubscribe()
    digest = "SHA-256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    if digest != found["digest"]:
        raise LookupError(f"{name} was replaced or deleted meanwhile")
    return data


async def look(connection: nats.NATS, bucket: str, name: str) -> None:
    """Read an object, which may be gone when the fact is not new."""
    try:
        data = await read_object(connection, bucket, name)
    except LookupError as error:
        print(" ", error, flush=True)
    else:
        print(f"  {bucket} {name}: {len(data)} bytes", flush=True)

'''

_HANDLE = '''
async def handle({parameters}subject: str, fact: dict) -> None:
    """Do your work here. A fact may come twice: handle the second like the first."""
    print(subject, fact["image_id"], flush=True)
'''

#: What is read, by bucket: when, and under which name.
_OBJECTS = {
    "originals": """\
if subject.endswith(".uploaded"):
    await look(connection, "originals", fact["image_id"])
""",
    "variants": """\
if ".augmented." in subject:
    await look(connection, "variants", fact["object"])
""",
}

_MAIN = """

async def main() -> None:
    connection = await nats.connect(SERVERS, max_reconnect_attempts=-1)
    facts = await connection.jetstream().pull_subscribe_bind(DURABLE, "IMAGES")
    print("listening", flush=True)
    while True:
        try:
            messages = await facts.fetch(32, timeout=20, heartbeat=5)
        except nats.errors.TimeoutError:
            continue  # nothing was said
        except nats.errors.Error as error:
            print("NATS is away:", error, flush=True)
            messages = []
        if not messages:
            await asyncio.sleep(1)
        for message in messages:
            await handle({arguments}message.subject, json.loads(message.data))
            await message.ack()  # after the work: what is not acknowledged comes again


asyncio.run(main())
"""


def program(subscriber: Subscriber, url: str) -> str:
    """Return a Python program that hears the facts of `subscriber` at `url`, and acknowledges.

    With buckets to read, it shows how.
    """
    reads = subscriber.objects
    text = _HEAD.format(
        facts=", ".join(subscriber.facts),
        name=subscriber.name,
        imports="import base64\nimport hashlib\n" if reads else "",
        servers="[\n" + "".join(f'    "{server}",\n' for server in url.split(",")) + "]",
        durable=subscriber.durable,
    )
    if reads:
        text += _READ
    text += _HANDLE.format(parameters="connection: nats.NATS, " if reads else "")
    text += "".join(indent(_OBJECTS[bucket], "    ") for bucket in reads if bucket in _OBJECTS)
    return text + _MAIN.format(arguments="connection, " if reads else "")
