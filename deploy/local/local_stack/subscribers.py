"""`image-system subscriber`: systems outside, each with an account and a durable of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec
import nats
import nats.errors
from imagesystem.bus.provisioning import SECOND_NS
from nats.aio.client import Client
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from local_stack import durables, homes
from local_stack.accounts import Subscriber, check_buckets, check_facts, check_name, render
from local_stack.credentials import new_password
from local_stack.errors import StackError
from local_stack.homes import Home

__all__ = ["Subscription", "create", "examine", "find", "remove", "table", "url"]

#: Seconds for a server to have read its configuration again.
RELOAD_DEADLINE_S = 20.0
_POLL_S = 0.1
#: How a server stands to a subscriber: it does not know it, knows it and does not connect it to
#: its durable, does both; or does not answer.
Standing: TypeAlias = Literal["refused", "unserved", "served", "silent"]


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber as it is now.

    `pending`: facts not delivered yet; `in_flight`: delivered and not acknowledged; `waiting`:
    pulls that wait for facts, so that 1 and more is somebody who listens; `last_seen`: when it
    was last given facts or acknowledged some. `exists`: whether its durable is there.
    """

    name: str
    facts: tuple[str, ...]
    objects: tuple[str, ...]
    created_at: datetime
    exists: bool = True
    pending: int = 0
    in_flight: int = 0
    waiting: int = 0
    last_seen: datetime | None = None


def url(home: Home, subscriber: Subscriber) -> str:
    """Return the NATS URL of `subscriber`, all servers of a cluster with commas between."""
    login = f"{subscriber.durable}:{subscriber.password}"
    return ",".join(f"nats://{login}@{address}" for address in home.addresses)


def find(home: Home, name: str) -> Subscriber:
    """Return the subscriber called `name`; raises `StackError` when there is none."""
    known = _known(home)
    for subscriber in known:
        if subscriber.name == name:
            return subscriber
    there = ", ".join(subscriber.name for subscriber in known) or "none at all"
    raise StackError(f"there is no subscriber {name!r}; there is {there}")


async def create(
    home: Home, name: str, *, facts: Iterable[str], objects: Iterable[str] = ()
) -> Subscriber:
    """Give `name` a durable and an account; return once every server lets it in.

    Raises `StackError`, and nothing is left behind, when that cannot be.
    """
    made = Subscriber(
        name=check_name(name),
        facts=check_facts(facts),
        objects=check_buckets(objects),
        password=new_password(),
        created_at=datetime.now(UTC),
    )
    with homes.keep(home):
        before = _known(home)
        if any(subscriber.name == name for subscriber in before):
            raise StackError(
                f"there is a subscriber {name!r} already: choose another name, or remove it first"
            )
        async with durables.administering(home) as client:
            await durables.remove(client, made)  # of a removal that was interrupted
            try:
                await durables.create(client, made)
                _write(home, [*before, made])
                await _reloaded(home, made, "served")
            except BaseException:
                _write(home, before)
                with suppress(StackError):
                    home.reload()
                await durables.remove(client, made)
                raise
    return made


async def remove(home: Home, name: str) -> None:
    """Take the account away, which disconnects whoever uses it, then the durable.

    Raises `StackError` when there is none called `name`.
    """
    with homes.keep(home):
        gone = find(home, name)
        async with durables.administering(home) as client:
            _write(home, [subscriber for subscriber in _known(home) if subscriber.name != name])
            await _reloaded(home, gone, "refused")
            await durables.remove(client, gone)


async def examine(home: Home) -> list[Subscription]:
    """Return every subscriber, in the order in which they came."""
    known = _known(home)
    async with durables.administering(home) as client:
        return [await _subscription(client, subscriber) for subscriber in known]


def _known(home: Home) -> list[Subscriber]:
    return homes.load(home.read("subscribers.json"), "subscribers.json")


def _write(home: Home, subscribers: list[Subscriber]) -> None:
    """Write who they are first: what nats-server reads can be made from it again."""
    home.write("subscribers.json", msgspec.json.format(msgspec.json.encode(subscribers)) + b"\n")
    home.write("accounts.conf", render(subscribers).encode())


async def _reloaded(home: Home, subscriber: Subscriber, wanted: Standing) -> None:
    """Have the servers reload, until each serves the subscriber, or none lets it in any more."""
    home.reload()
    for address in url(home, subscriber).split(","):
        try:
            async with asyncio.timeout(RELOAD_DEADLINE_S):
                while (standing := await _standing(address, subscriber)) != wanted:
                    await asyncio.sleep(_POLL_S)
                    if standing == "unserved":
                        # nats-server 2.15 connects the imports of an account that came with one
                        # reload at the next one; see nats-server #8560
                        home.reload()
        except TimeoutError as error:
            raise StackError(
                f"NATS at {address.rpartition('@')[2]} did not take its new configuration within "
                f"{RELOAD_DEADLINE_S:g} s: its log says why"
            ) from error


async def _standing(address: str, subscriber: Subscriber) -> Standing:
    """Say how a server stands to the subscriber, by a pull that is refused for its length."""
    try:
        client = await nats.connect(
            address, allow_reconnect=False, connect_timeout=2, error_cb=durables.ignored
        )
    except nats.errors.Error as error:
        return "refused" if "authorization" in str(error).lower() else "silent"
    except OSError:
        return "silent"
    try:
        too_long = {"batch": 1, "expires": 2 * durables.LONGEST_PULL_S * SECOND_NS}
        await client.request(subscriber.subjects[0], msgspec.json.encode(too_long), timeout=2)
    except nats.errors.NoRespondersError:
        return "unserved"
    except nats.errors.Error:
        return "silent"
    else:
        return "served"
    finally:
        await client.close()


async def _subscription(client: Client, subscriber: Subscriber) -> Subscription:
    now = Subscription(
        name=subscriber.name,
        facts=subscriber.facts,
        objects=subscriber.objects,
        created_at=subscriber.created_at,
    )
    info = await durables.info(client, subscriber)
    if info is None:
        return msgspec.structs.replace(now, exists=False)
    return msgspec.structs.replace(
        now,
        pending=info["num_pending"],
        in_flight=info["num_ack_pending"],
        waiting=info["num_waiting"],
        last_seen=_last_seen(info),
    )


def _last_seen(info: dict[str, Any]) -> datetime | None:
    times = (info[what].get("last_active") for what in ("delivered", "ack_floor"))
    return max((msgspec.convert(time, datetime) for time in times if time), default=None)


def table(subscriptions: list[Subscription]) -> Table:
    """Return a table with a line for each subscriber."""
    made = Table(box=SIMPLE_HEAD)
    for name in ("subscriber", "facts", "objects"):
        made.add_column(name)
    for name in ("pending", "in flight"):
        made.add_column(name, justify="right")
    made.add_column("last seen")
    for one in subscriptions:
        seen = one.last_seen.astimezone().isoformat(" ", "seconds") if one.last_seen else "never"
        state = Text("its durable is gone: remove it", style="red")
        if one.exists:
            state = Text("listening", style="green") if one.waiting else Text(seen)
        facts, objects = "\n".join(one.facts), "\n".join(one.objects)
        made.add_row(one.name, facts, objects, str(one.pending), str(one.in_flight), state)
    return made
