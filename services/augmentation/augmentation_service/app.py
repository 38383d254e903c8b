"""The wiring of the augmentation service: what it owns, hears and serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from imagesystem import platform, web
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.originals import Originals
from imagesystem.platform import Connect, Platform
from imagesystem.spools import Spools
from imagesystem.topology import CONSUMERS
from imagesystem.workers import WorkerPool, usable_cores
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from augmentation_service.descriptions import catalogue
from augmentation_service.engine import REGISTRY
from augmentation_service.gallery import Gallery
from augmentation_service.handlers import Handlers
from augmentation_service.measures import Measures
from augmentation_service.previews import Previews
from augmentation_service.rendering import prepare
from augmentation_service.routes import ROUTES
from augmentation_service.settings import Settings
from augmentation_service.shelf import Shelf
from augmentation_service.studio import Studio
from augmentation_service.tasks import routes as task_routes
from augmentation_service.tasks.counter import Counter
from augmentation_service.tasks.floor import Floor
from augmentation_service.tasks.ledger import Ledger
from augmentation_service.tasks.planning import Planner
from augmentation_service.tasks.reports import Reports
from augmentation_service.tasks.routes import Desk
from augmentation_service.tasks.sources import Sources
from augmentation_service.tasks.units import Units
from augmentation_service.tasks.upkeep import Upkeep
from augmentation_service.variants import Variants

__all__ = ["create_app"]


def create_app(settings: Settings, connect: Connect = platform.connect) -> Litestar:
    """Return the augmentation service's app."""
    health, metrics = Health("augmentation"), Metrics()
    measures = Measures(metrics)
    described = catalogue(REGISTRY.values(), max_steps=settings.max_steps)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with (
            connect(settings, health, metrics) as connected,
            WorkerPool(settings.workers or usable_cores(), prepare) as pool,
            _housekeeping(connected, measures, health),
        ):
            originals = Originals(connected.bus, connected.bucket("originals"))
            previews = Previews(
                pool,
                measures,
                max_waiting=settings.max_waiting,
                deadline_s=settings.deadline_s,
            )
            shelf = app.state.shelf = Shelf(connected.key_value("recipes"), settings.max_steps)
            spools = Spools(memory_all=settings.spool_memory_bytes)
            app.state.studio = Studio(
                originals=originals,
                previews=previews,
                shelf=shelf,
                spools=spools,
                settings=settings,
            )
            app.state.gallery = Gallery(pool)
            tasks = _Tasks(
                connected,
                shelf=shelf,
                spools=spools,
                pool=pool,
                measures=measures,
                settings=settings,
            )
            app.state.desk = tasks.desk
            async with tasks.at_work(connected, health, pool.size):
                yield

    return web.create_app(
        settings=settings,
        health=health,
        measures=metrics,
        routes=[*ROUTES, *task_routes.ROUTES],
        lifespan=lifespan,
        dependencies={
            "studio": Provide(_provide_studio, sync_to_thread=False),
            "desk": Provide(_provide_desk, sync_to_thread=False),
            "shelf": Provide(_provide_shelf, sync_to_thread=False),
            "gallery": Provide(_provide_gallery, sync_to_thread=False),
            "catalogue": Provide(lambda: described, sync_to_thread=False),
        },
    )


def _provide_studio(state: State) -> Studio:
    studio: Studio = state.studio
    return studio


def _provide_shelf(state: State) -> Shelf:
    shelf: Shelf = state.shelf
    return shelf


def _provide_gallery(state: State) -> Gallery:
    gallery: Gallery = state.gallery
    return gallery


def _provide_desk(state: State) -> Desk:
    desk: Desk = state.desk
    return desk


class _Tasks:
    """The parts of tasks, put together."""

    def __init__(
        self,
        connected: Platform,
        *,
        shelf: Shelf,
        spools: Spools,
        pool: WorkerPool,
        measures: Measures,
        settings: Settings,
    ) -> None:
        originals = Originals(connected.bus, connected.bucket("originals"))
        variants, ledger = connected.bucket("variants"), Ledger(connected.key_value("tasks"))
        self._planner = Planner(connected.bus, ledger, connected.bucket("manifests"), settings)
        self._upkeep = Upkeep(ledger, self._planner, variants, settings)
        self._units = Units(
            bus=connected.bus,
            variants=variants,
            sources=Sources(originals, variants),
            ledger=ledger,
            pool=pool,
            measures=measures,
            settings=settings,
        )
        counter = Counter(
            originals=originals,
            variants=variants,
            shelf=shelf,
            ledger=ledger,
            planner=self._planner,
            measures=measures,
            spools=spools,
            settings=settings,
        )
        reports = Reports(connected.bus, ledger, settings.results_ttl_s)
        floor = Floor(connected.bus, ledger, self._planner, variants, settings.max_steps)
        self.desk = Desk(counter=counter, reports=reports, floor=floor, variants=variants)

    @asynccontextmanager
    async def at_work(
        self, connected: Platform, health: Health, workers: int
    ) -> AsyncIterator[None]:
        """Plan tasks, make their units, look after them."""
        # More than work: while some are stored and announced, others are made.
        units = msgspec.structs.replace(
            CONSUMERS["augmentation-units"], concurrency=2 * workers + 2
        )
        plans = CONSUMERS["augmentation-plans"]
        planning = await connected.bus.consume(plans, self._planner.plan)
        making = await connected.bus.consume(units, self._units.make, gave_up=self._units.gave_up)
        upkeep = asyncio.create_task(self._upkeep.run())
        health.watch(plans.name, lambda: planning.healthy)
        health.watch(units.name, lambda: making.healthy)
        health.watch(
            "task_upkeep",
            lambda: "the task that looks after tasks has ended" if upkeep.done() else None,
            fatal=True,
        )
        try:
            yield
        finally:
            health.stopping = True
            await asyncio.gather(planning.stop(), making.stop())
            upkeep.cancel()
            await asyncio.gather(upkeep, return_exceptions=True)


@asynccontextmanager
async def _housekeeping(
    connected: Platform, measures: Measures, health: Health
) -> AsyncIterator[None]:
    """Know which variants there are, and drop those of deleted images."""
    variants = Variants(connected.bucket("variants"), measures)
    handlers = Handlers(variants)
    following = asyncio.create_task(variants.follow())
    deleted = await connected.bus.consume(CONSUMERS["augmentation-deleted"], handlers.image_deleted)
    health.watch("variant_index", lambda: variants.unhealthy)
    health.watch("augmentation-deleted", lambda: deleted.healthy)
    health.watch(
        "variant_index_task",
        lambda: "the task that follows the variants has ended" if following.done() else None,
        fatal=True,
    )
    try:
        yield
    finally:
        health.stopping = True
        await deleted.stop()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
