"""Webhooks and their deliveries in two key-value buckets: they outlive MongoDB and every process.

`webhooks` has `metadata.hooks.<id>` and `metadata.places.<id>`; `deliveries`, where everything
vanishes after a while, `metadata.<webhook>.<delivery>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from imagesystem.errors import Rejected, WrongSequence
from imagesystem.keyvalue import KeyValue

from metadata_service.webhooks.records import Delivery, Progress, Status, Webhook

__all__ = ["Shelf"]

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DELIVERY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_CURSOR = re.compile(r"(\d{1,20})-([A-Za-z0-9_-]{1,80})")
#: Times that a change is made again because somebody else made one meanwhile.
CHANGES = 5
#: Webhooks that can be there at all, and deliveries read at once.
MOST, PAGE = 1000, 500


class Shelf:
    """Reads and writes what is kept; `kept` deliveries of each webhook, those pending besides."""

    def __init__(self, webhooks: KeyValue, deliveries: KeyValue, *, kept: int) -> None:
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._kept = kept

    async def all(self) -> dict[str, tuple[int, Webhook]]:
        """Return every webhook by its id, with its revision, oldest change first."""
        entries = await self._webhooks.entries("metadata.hooks.*", limit=MOST)
        found = [(entry.revision, _webhook(entry.value)) for entry in entries]
        return {webhook.webhook_id: (revision, webhook) for revision, webhook in found}

    async def get(self, webhook_id: str) -> Webhook:
        """Return a webhook; raises `Rejected` 404 `unknown_webhook`."""
        return (await self._held(webhook_id))[1]

    async def add(self, webhook: Webhook) -> None:
        """Keep a new one."""
        key = f"metadata.hooks.{webhook.webhook_id}"
        await self._webhooks.put(key, msgspec.json.encode(webhook), expected=0)

    async def change(self, webhook_id: str, change: Callable[[Webhook], Webhook]) -> Webhook:
        """Replace a webhook by what `change` makes of it, whatever others do meanwhile."""
        for attempt in range(CHANGES):
            revision, held = await self._held(webhook_id)
            changed = change(held)
            if changed == held:
                return held
            key = f"metadata.hooks.{webhook_id}"
            try:
                await self._webhooks.put(key, msgspec.json.encode(changed), expected=revision)
            except WrongSequence:
                if attempt == CHANGES - 1:
                    raise
            else:
                return changed
        raise AssertionError("unreachable")

    async def remove(self, webhook_id: str) -> None:
        """Forget a webhook and everything about it."""
        await self._webhooks.remove(f"metadata.hooks.{webhook_id}")
        await self._webhooks.remove(f"metadata.places.{webhook_id}")
        await self._deliveries.remove(f"metadata.{webhook_id}.*")

    async def progress(self, webhook: Webhook) -> Progress:
        """Return how far it has come."""
        entry = await self._webhooks.get(f"metadata.places.{webhook.webhook_id}")
        if entry is None:
            return Progress(place=webhook.begins_after)
        return msgspec.json.decode(entry.value, type=Progress)

    async def keep_progress(self, webhook_id: str, progress: Progress) -> None:
        """Write down how far it has come."""
        await self._webhooks.put(f"metadata.places.{webhook_id}", msgspec.json.encode(progress))

    async def delivery(self, webhook_id: str, delivery_id: str) -> Delivery | None:
        """Return a delivery, None if it is not (or no longer) there."""
        if not _DELIVERY_ID.fullmatch(delivery_id):
            return None
        entry = await self._deliveries.get(f"metadata.{webhook_id}.{delivery_id}")
        return None if entry is None else msgspec.json.decode(entry.value, type=Delivery)

    async def keep(self, delivery: Delivery) -> None:
        """Write down what became of a delivery."""
        key = f"metadata.{delivery.webhook_id}.{delivery.delivery_id}"
        await self._deliveries.put(key, msgspec.json.encode(delivery))

    async def deliveries(self, webhook_id: str) -> list[Delivery]:
        """Return all deliveries that are kept, in the order of their last change."""
        found: list[Delivery] = []
        after = 0
        while True:
            pattern = f"metadata.{webhook_id}.*"
            entries = await self._deliveries.entries(pattern, after=after, limit=PAGE)
            found += [msgspec.json.decode(entry.value, type=Delivery) for entry in entries]
            if len(entries) < PAGE:
                return found
            after = entries[-1].revision

    async def page(
        self, webhook_id: str, *, status: Status | None, limit: int, cursor: str | None
    ) -> tuple[list[Delivery], str | None]:
        """Return a page of deliveries, newest first, and the cursor of the next one.

        Raises `Rejected` 400 `malformed_cursor`.
        """
        before = None if cursor is None else _place(cursor)
        found = sorted(await self.deliveries(webhook_id), key=_order, reverse=True)
        page = [
            delivery
            for delivery in found
            if (status is None or delivery.status == status)
            and (before is None or _order(delivery) < before)
        ]
        more = len(page) > limit
        page = page[:limit]
        return page, _cursor(page[-1]) if more else None

    async def prune(self, webhook_id: str) -> None:
        """Let go of the oldest deliveries beyond those that are kept, but of none pending."""
        pattern = f"metadata.{webhook_id}.*"
        excess = await self._deliveries.count(pattern) - self._kept
        if excess <= 0:
            return
        for entry in await self._deliveries.entries(pattern, limit=excess):
            if msgspec.json.decode(entry.value, type=Delivery).status != "pending":
                await self._deliveries.remove(entry.key)

    async def _held(self, webhook_id: str) -> tuple[int, Webhook]:
        entry = None
        if _ID.fullmatch(webhook_id):
            entry = await self._webhooks.get(f"metadata.hooks.{webhook_id}")
        if entry is None:
            raise Rejected(404, "unknown_webhook", f"there is no webhook {webhook_id[:64]!r}")
        return entry.revision, _webhook(entry.value)


def _webhook(value: bytes) -> Webhook:
    return msgspec.json.decode(value, type=Webhook)


def _order(delivery: Delivery) -> tuple[datetime, str]:
    return delivery.first_at, delivery.delivery_id


def _cursor(delivery: Delivery) -> str:
    return f"{int(delivery.first_at.timestamp() * 1_000_000)}-{delivery.delivery_id}"


def _place(cursor: str) -> tuple[datetime, str]:
    match = _CURSOR.fullmatch(cursor)
    try:
        if match is None:
            raise ValueError(cursor)
        microseconds = int(match[1])
        moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
        return moment.replace(microsecond=microseconds % 1_000_000), match[2]
    except (ValueError, OverflowError, OSError) as error:
        raise Rejected(400, "malformed_cursor", "cursor is not one that was given") from error
