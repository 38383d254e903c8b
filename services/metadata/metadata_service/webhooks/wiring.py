"""The wiring of webhooks: what is kept, who delivers, what the routes call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imagesystem import ids
from imagesystem.platform import Platform

from metadata_service.feeds.reading import Log
from metadata_service.measures import Measures
from metadata_service.settings import Settings
from metadata_service.webhooks.couriers import Round
from metadata_service.webhooks.dispatch import Dispatch
from metadata_service.webhooks.endpoints import Endpoints
from metadata_service.webhooks.lease import Lease
from metadata_service.webhooks.office import Office
from metadata_service.webhooks.retries import Retries
from metadata_service.webhooks.shelf import Shelf
from metadata_service.webhooks.transport import CheckedTransport

__all__ = ["open_office"]

HOUR_S = 3600.0


@asynccontextmanager
async def open_office(
    connected: Platform, log: Log, settings: Settings, measures: Measures
) -> AsyncIterator[Office]:
    """Deliver to webhooks until the block is left; yields what the routes call."""
    webhooks = connected.key_value("webhooks")
    shelf = Shelf(
        webhooks, connected.key_value("deliveries"), kept=settings.webhook_deliveries_kept
    )
    endpoints = Endpoints(
        CheckedTransport(allow_private=settings.webhook_allow_private),
        measures,
        timeout_s=settings.webhook_timeout_s,
    )
    retries = Retries(
        first_s=settings.webhook_retry_s,
        give_up_s=settings.webhook_give_up_hours * HOUR_S,
        disable_s=settings.webhook_disable_hours * HOUR_S,
    )
    round_ = Round(
        bus=connected.bus,
        log=log,
        shelf=shelf,
        endpoints=endpoints,
        retries=retries,
        measures=measures,
    )
    dispatch = Dispatch(round_, Lease(webhooks, "metadata.lease", ids.new_id()))
    try:
        async with dispatch.running():
            yield Office(connected.bus, shelf, endpoints, dispatch, most=settings.webhooks_max)
    finally:
        await endpoints.close()
