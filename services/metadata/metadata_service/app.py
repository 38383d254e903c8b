"""The wiring of the metadata service: what it owns, hears and serves."""

from __future__ import annotations

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

from metadata_service import contract, mongo
from metadata_service.cursors import Cursors, cursor_key
from metadata_service.edits import Edits
from metadata_service.handlers import FACTS, Handlers
from metadata_service.library import Library
from metadata_service.preparation import Preparation
from metadata_service.read_model import ReadModel
from metadata_service.routes import ROUTES
from metadata_service.settings import Settings
from metadata_service.store import OpenStore
from metadata_service.waiting import Waiters

__all__ = ["create_app"]


def create_app(
    settings: Settings,
    connect: Connect = platform.connect,
    open_store: OpenStore = mongo.open_store,
) -> Litestar:
    """Return the metadata service's app."""
    health, metrics = Health("metadata"), Metrics()
    cursors = Cursors(cursor_key(settings))

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with connect(settings, health, metrics) as connected, open_store(settings) as store:
            waiters = Waiters(store)
            edits = Edits(connected.bus, settings)
            app.state.library = Library(store, waiters, edits, apply_wait_s=settings.apply_wait_s)
            async with (
                Preparation(store).running() as preparation,
                ReadModel(store, waiters.notify).running() as read_model,
            ):
                handlers = Handlers(read_model)
                facts = await connected.bus.consume(CONSUMERS[FACTS], handlers.fact)
                health.watch("mongodb", preparation.check)
                health.watch(FACTS, lambda: facts.healthy)
                try:
                    yield
                finally:
                    health.stopping = True
                    await facts.stop()

    return web.create_app(
        settings=settings,
        health=health,
        measures=metrics,
        routes=[*ROUTES, *contract.ROUTES],
        lifespan=lifespan,
        dependencies={
            "library": Provide(_library, sync_to_thread=False),
            "cursors": Provide(lambda: cursors, sync_to_thread=False),
            "settings": Provide(lambda: settings, sync_to_thread=False),
        },
    )


def _library(state: State) -> Library:
    library: Library = state.library
    return library
