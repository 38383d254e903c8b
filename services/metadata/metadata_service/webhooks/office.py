"""What people do with webhooks: make, change, try out, redeliver, remove."""

from __future__ import annotations

from typing import Any

import msgspec
from imagesystem import ids
from imagesystem.bus import Bus
from imagesystem.errors import Rejected
from msgspec import UNSET, UnsetType

from metadata_service.feeds.cloudevents import CloudEvent
from metadata_service.feeds.selection import types_of
from metadata_service.feeds.tail import recent_of
from metadata_service.webhooks.couriers import attempted
from metadata_service.webhooks.dispatch import Dispatch
from metadata_service.webhooks.endpoints import Endpoints, parse_url
from metadata_service.webhooks.records import PING, Delivery, Progress, Webhook
from metadata_service.webhooks.shelf import Shelf
from metadata_service.webhooks.signing import check_secret, new_secret

__all__ = ["Change", "NewWebhook", "Office"]

Facts = list[str]
MAX_DESCRIPTION = 500


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook to be made. `facts`: types as of the live feed; none: all. `secret`: else made."""

    url: str
    facts: Facts = []
    secret: str | None = None
    description: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed; what is left out stays. `secret` null: a new one is made.

    `enabled` false is a pause: once it is true again, everything since is delivered in its latest
    state.
    """

    url: str | UnsetType = UNSET
    facts: Facts | UnsetType = UNSET
    secret: str | UnsetType | None = UNSET
    description: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class Office:
    """The actions behind the routes; what they keep is what couriers go by."""

    def __init__(
        self, bus: Bus, shelf: Shelf, endpoints: Endpoints, dispatch: Dispatch, *, most: int
    ) -> None:
        self.shelf = shelf
        self._bus = bus
        self._endpoints = endpoints
        self._dispatch = dispatch
        self._most = most

    async def create(self, wanted: NewWebhook) -> tuple[Webhook, Delivery]:
        """Keep a webhook that is told of everything from now on, and ping it.

        Raises `Rejected` 400 (`invalid_url`, `address_refused`, `unknown_type`, `invalid_secret`,
        `invalid_description`) and 409 `too_many_webhooks`.
        """
        url = parse_url(wanted.url)
        types_of(wanted.facts)
        secret = new_secret() if wanted.secret is None else check_secret(wanted.secret)
        description = _description(wanted.description)
        await self._endpoints.check(url)
        count = len(await self.shelf.all())
        if count >= self._most:
            raise Rejected(
                409,
                "too_many_webhooks",
                f"there are {count} webhooks, remove one first",
                limit="WEBHOOKS_MAX",
                allowed=self._most,
                actual=count,
            )
        now = ids.now()
        webhook = Webhook(
            webhook_id=ids.new_id(),
            url=str(url),
            facts=wanted.facts,
            secret=secret,
            description=description,
            begins_after=await self._bus.head(),
            created_at=now,
            updated_at=now,
        )
        await self.shelf.add(webhook)
        self._dispatch.changed()
        return webhook, await self.ping(webhook)

    async def change(self, webhook_id: str, wanted: Change) -> Webhook:
        """Change a webhook; raises as `create`, and 404 `unknown_webhook`."""
        changes: dict[str, Any] = {}
        if wanted.url is not UNSET:
            url = parse_url(wanted.url)
            await self._endpoints.check(url)
            changes["url"] = str(url)
        if wanted.facts is not UNSET:
            types_of(wanted.facts)
            changes["facts"] = wanted.facts
        if wanted.secret is not UNSET:
            given = wanted.secret
            changes["secret"] = new_secret() if given is None else check_secret(given)
        if wanted.description is not UNSET:
            changes["description"] = _description(wanted.description)
        if wanted.enabled is not UNSET:
            changes |= {
                "enabled": wanted.enabled,
                "disabled_reason": None if wanted.enabled else "by request",
            }
        changed = await self.shelf.change(
            webhook_id,
            lambda held: (
                msgspec.structs.replace(held, **changes, updated_at=ids.now()) if changes else held
            ),
        )
        self._dispatch.changed()
        return changed

    async def remove(self, webhook_id: str) -> None:
        """Forget a webhook, its secret and its deliveries; raises 404 `unknown_webhook`."""
        await self.shelf.get(webhook_id)
        await self.shelf.remove(webhook_id)
        self._dispatch.changed()

    async def progress(self, webhook: Webhook) -> Progress:
        """Return how far the webhook has come."""
        return await self.shelf.progress(webhook)

    async def ping(self, webhook: Webhook) -> Delivery:
        """Send a signed test event now, and return what came of it."""
        now = ids.now()
        ping_id = f"ping-{ids.new_id()}"
        event = CloudEvent(
            specversion="1.0",
            id=ping_id,
            type=PING,
            source="/metadata",
            subject=webhook.webhook_id,
            time=now.isoformat().replace("+00:00", "Z"),
            datacontenttype="application/json",
            data={"webhook_id": webhook.webhook_id, "facts": webhook.facts},
        )
        delivery = Delivery(
            delivery_id=ping_id,
            webhook_id=webhook.webhook_id,
            type=PING,
            subject="",
            sequence=0,
            status="pending",
            attempts=0,
            first_at=now,
            last_at=now,
        )
        return await self._send(webhook, delivery, msgspec.json.encode(event))

    async def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a delivery once more, now, under the same id; return what came of it.

        Raises `Rejected` 404 `unknown_delivery`, and 410 `fact_superseded` when the log has a
        newer state, or none.
        """
        webhook = await self.shelf.get(webhook_id)
        delivery = await self.shelf.delivery(webhook_id, delivery_id)
        if delivery is None:
            raise Rejected(
                404, "unknown_delivery", f"there is no delivery {delivery_id[:80]!r} (any more)"
            )
        if delivery.type == PING:
            return await self.ping(webhook)
        received = await self._bus.latest(delivery.subject)
        if received is None or received.sequence != delivery.sequence:
            raise Rejected(
                410,
                "fact_superseded",
                f"the log has {'nothing' if received is None else 'a newer state'} "
                f"on {delivery.subject}",
            )
        return await self._send(webhook, delivery, recent_of(received).json)

    async def _send(self, webhook: Webhook, delivery: Delivery, body: bytes) -> Delivery:
        answer = await self._endpoints.send(webhook.url, webhook.secret, delivery.delivery_id, body)
        # What still waits to be tried again by itself goes on waiting if this fails.
        settled = attempted(delivery, answer, ids.now(), delivery.next_at)
        await self.shelf.keep(settled)
        return settled


def _description(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_DESCRIPTION:
        raise Rejected(
            400,
            "invalid_description",
            f"description has {len(text)} characters",
            limit="description",
            allowed=MAX_DESCRIPTION,
            actual=len(text),
        )
    return text
