"""The wiring of the registry: what it owns, hears and serves."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imagesystem import platform, web
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.platform import Connect
from imagesystem.topology import CONSUMERS
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from registry_service.deletions import Deletions
from registry_service.handlers import Handlers
from registry_service.locks import Locks
from registry_service.measures import Measures
from registry_service.pictures import restrict_pillow
from registry_service.reception import Reception
from registry_service.routes import ROUTES
from registry_service.settings import Settings
from registry_service.structure import Limits
from registry_service.uploads import Uploads

__all__ = ["create_app"]


def create_app(settings: Settings, connect: Connect = platform.connect) -> Litestar:
    """Return the registry's app."""
    health, metrics = Health("registry"), Metrics()
    measures = Measures(metrics)
    limits = Limits(max_pixels=settings.max_pixels, max_frames=settings.max_frames)
    restrict_pillow(limits)
    # it warns about each form that is malformed, which the answer says already
    logging.getLogger("python_multipart").setLevel(logging.ERROR)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with connect(settings, health, metrics) as connected:
            originals, locks = connected.bucket("originals"), Locks()
            deletions = Deletions(connected.bus, originals, locks)
            app.state.deletions = deletions
            app.state.reception = reception = Reception(settings, measures)
            app.state.uploads = Uploads(
                bus=connected.bus,
                originals=originals,
                deletions=deletions,
                locks=locks,
                measures=measures,
                limits=limits,
                max_validations=settings.max_concurrent_validations,
            )
            deleted = await connected.bus.consume(
                CONSUMERS["registry-deleted"], Handlers(deletions).image_deleted
            )
            health.watch("registry-deleted", lambda: deleted.healthy)
            health.watch("spool_dir", lambda: reception.unwritable)
            try:
                yield
            finally:
                health.stopping = True
                await deleted.stop()

    return web.create_app(
        settings=settings,
        health=health,
        measures=metrics,
        routes=ROUTES,
        lifespan=lifespan,
        dependencies={
            "reception": Provide(_reception, sync_to_thread=False),
            "uploads": Provide(_uploads, sync_to_thread=False),
            "deletions": Provide(_deletions, sync_to_thread=False),
        },
        max_body_bytes=None,  # the reception reads streams and counts itself
    )


def _reception(state: State) -> Reception:
    found: Reception = state.reception
    return found


def _uploads(state: State) -> Uploads:
    found: Uploads = state.uploads
    return found


def _deletions(state: State) -> Deletions:
    found: Deletions = state.deletions
    return found
