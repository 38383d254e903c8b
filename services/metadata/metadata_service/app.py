"""The wiring of the metadata service: what it owns, hears and serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imagesystem import platform, server, web
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.platform import Connect
from imagesystem.topology import CONSUMERS
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from metadata_service import contract, migration_routes, mongo, stats_routes
from metadata_service.albums import desk as album_desk
from metadata_service.albums import routes as album_routes
from metadata_service.albums.shelf import Shelf as Albums
from metadata_service.bulk import routes as bulk_routes
from metadata_service.bulk.shelf import Shelf as Tasks
from metadata_service.bulk.worker import BULK, BulkWorker
from metadata_service.cursors import Cursors, cursor_key
from metadata_service.dead_letters import Desk
from metadata_service.dead_letters import routes as dead_letter_routes
from metadata_service.duplicates import routes as duplicate_routes
from metadata_service.edits import Edits
from metadata_service.exports import routes as export_routes
from metadata_service.exports.parquet import Press
from metadata_service.feeds import Hub
from metadata_service.feeds import routes as feed_routes
from metadata_service.feeds.reading import open_log
from metadata_service.handlers import FACTS, Handlers
from metadata_service.imports import routes as import_routes
from metadata_service.library import Library
from metadata_service.measures import Measures
from metadata_service.preparation import Preparation
from metadata_service.read_model import ReadModel
from metadata_service.rebuilds import routes as rebuild_routes
from metadata_service.rebuilds.rebuilder import Rebuilder
from metadata_service.reruns import routes as rerun_routes
from metadata_service.resolving import RESOLUTIONS, Resolver
from metadata_service.routes import ROUTES, Pictures
from metadata_service.search import routes as search_routes
from metadata_service.search.meaning import Meanings
from metadata_service.search.shown import Shown
from metadata_service.settings import Settings
from metadata_service.similarity import routes as similarity_routes
from metadata_service.similarity.embedder import Embedder
from metadata_service.similarity.wiring import open_gallery
from metadata_service.store import OpenStore, Store
from metadata_service.timeline import Timelines
from metadata_service.timeline import routes as timeline_routes
from metadata_service.waiting import Waiters
from metadata_service.webhooks import routes as webhook_routes
from metadata_service.webhooks.wiring import open_office

__all__ = ["create_app"]


def create_app(
    settings: Settings,
    connect: Connect = platform.connect,
    open_store: OpenStore = mongo.open_store,
) -> Litestar:
    """Return the metadata service's app."""
    health, metrics = Health("metadata"), Metrics()
    measures = Measures(metrics)
    cursors, pictures = Cursors(cursor_key(settings)), Pictures()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with connect(settings, health, metrics) as connected, open_store(settings) as store:
            waiters = Waiters(store)
            edits = Edits(connected.bus, settings)
            app.state.bus, app.state.timelines = connected.bus, Timelines(connected.bus)
            app.state.desk = Desk(connected.bus, connected.letters)
            app.state.store = store
            app.state.press = Press(settings.parquet_exports_max)
            tasks = Tasks(connected.key_value("bulk"), connected.bucket("manifests"))
            app.state.bulk = bulk_routes.Desk(tasks, connected.bus, edits, settings)
            app.state.albums = album_desk.Desk(
                Albums(connected.key_value("albums")), connected.bus, edits, settings
            )
            app.state.library = pictures.library = Library(store, waiters, edits, settings)
            app.state.shown = Shown(pictures.library.page, settings.views_cache_bytes)
            async with (
                open_log(connected.bus, connected.doorbell) as log,
                open_office(connected, log, settings, measures) as office,
                open_gallery(connected, log, store, settings) as (gallery, duplicates, looks),
                Preparation(store).running() as preparation,
                ReadModel(store, waiters.notify).running() as read_model,
                Rebuilder(store, connected.bus, preparation.check).running() as rebuilder,
            ):
                app.state.rebuilder, app.state.office = rebuilder, office
                app.state.gallery, app.state.duplicates = gallery, duplicates
                app.state.embedder = embedder = Embedder(
                    connected.questions,
                    connected.bucket("examples"),
                    timeout_s=settings.embed_timeout_s,
                )
                app.state.meanings = Meanings(embedder, gallery, app.state.library)
                handlers = Handlers(read_model, measures)
                facts = await connected.bus.consume(CONSUMERS[FACTS], handlers.fact)
                resolver = Resolver(store, connected.bus, connected.bucket("manifests"))
                resolutions = await connected.bus.consume(
                    CONSUMERS[RESOLUTIONS], resolver.resolve, gave_up=resolver.gave_up
                )
                worker = BulkWorker(tasks, store, connected.bus, edits, most=settings.bulk_max)
                bulk = await connected.bus.consume(
                    CONSUMERS[BULK], worker.edit, gave_up=worker.gave_up
                )
                hub = app.state.hub = Hub(
                    log,
                    most=settings.feeds_max,
                    keep_alive_s=settings.feed_keep_alive_s,
                    open_feeds=measures.open_feeds,
                )
                server.before_stopping(app, hub.close)
                health.watch("event_log", lambda: log.tail.broken)
                health.watch("mongodb", preparation.check)
                health.watch("documents", rebuilder.check)
                health.watch("similarity", looks.check)
                if gallery.neighbours is not None:
                    health.watch("vector_search", gallery.neighbours.check)
                health.watch(FACTS, lambda: facts.healthy)
                health.watch(RESOLUTIONS, lambda: resolutions.healthy)
                health.watch(BULK, lambda: bulk.healthy)
                try:
                    yield
                finally:
                    health.stopping = True
                    hub.close()
                    await asyncio.gather(facts.stop(), resolutions.stop(), bulk.stop())

    return web.create_app(
        settings=settings,
        health=health,
        measures=metrics,
        routes=[
            *ROUTES,
            *album_routes.ROUTES,
            *bulk_routes.ROUTES,
            *contract.ROUTES,
            *dead_letter_routes.ROUTES,
            *duplicate_routes.ROUTES,
            *export_routes.ROUTES,
            *feed_routes.ROUTES,
            *import_routes.ROUTES,
            *migration_routes.ROUTES,
            *rebuild_routes.ROUTES,
            *rerun_routes.ROUTES,
            *search_routes.ROUTES,
            *stats_routes.ROUTES,
            *similarity_routes.ROUTES,
            *timeline_routes.ROUTES,
            *webhook_routes.ROUTES,
        ],
        lifespan=lifespan,
        shortcut=pictures,
        dependencies={
            "library": Provide(_library, sync_to_thread=False),
            "store": Provide(_store, sync_to_thread=False),
            "albums": Provide(album_routes.provide_albums, sync_to_thread=False),
            "bulk": Provide(bulk_routes.provide_desk, sync_to_thread=False),
            "embedder": Provide(similarity_routes.provide_embedder, sync_to_thread=False),
            "gallery": Provide(similarity_routes.provide_gallery, sync_to_thread=False),
            "duplicates": Provide(duplicate_routes.provide_duplicates, sync_to_thread=False),
            "meanings": Provide(search_routes.provide_meanings, sync_to_thread=False),
            "shown": Provide(search_routes.provide_shown, sync_to_thread=False),
            "hub": Provide(feed_routes.provide_hub, sync_to_thread=False),
            "press": Provide(export_routes.provide_press, sync_to_thread=False),
            "office": Provide(webhook_routes.provide_office, sync_to_thread=False),
            "desk": Provide(dead_letter_routes.provide_desk, sync_to_thread=False),
            "rebuilder": Provide(rebuild_routes.provide_rebuilder, sync_to_thread=False),
            "bus": Provide(rerun_routes.provide_bus, sync_to_thread=False),
            "timelines": Provide(timeline_routes.provide_timelines, sync_to_thread=False),
            "cursors": Provide(lambda: cursors, sync_to_thread=False),
            "settings": Provide(lambda: settings, sync_to_thread=False),
        },
    )


def _library(state: State) -> Library:
    library: Library = state.library
    return library


def _store(state: State) -> Store:
    store: Store = state.store
    return store
