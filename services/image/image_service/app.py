"""The wiring of the image service: what it owns, hears and serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from imagesystem import platform, web
from imagesystem.arena import Arena
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.platform import Connect, Platform
from imagesystem.spools import Spools
from imagesystem.topology import BUCKETS, CONSUMERS
from imagesystem.workers import WorkerPool, usable_cores
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from image_service import presets, signatures
from image_service.cache import RenditionCache
from image_service.darkroom import Darkroom
from image_service.decoding import prepare
from image_service.gallery import Gallery, cache_control
from image_service.handlers import Handlers
from image_service.hot import HotAnswers
from image_service.known import Known
from image_service.limits import Limits
from image_service.measures import Measures
from image_service.negatives import Negatives, arena_of
from image_service.originals import Originals
from image_service.parameters import Interpreter
from image_service.places import Places
from image_service.presets import Presets
from image_service.revisits import Revisits
from image_service.routes import ROUTES
from image_service.settings import Settings
from image_service.shelf import Shelf
from image_service.signatures import Signatures

__all__ = ["create_app"]

RENDITIONS_BYTES = next(bucket.max_bytes for bucket in BUCKETS if bucket.name == "renditions")


def create_app(settings: Settings, connect: Connect = platform.connect) -> Litestar:
    """Return the image service's app."""
    health, metrics = Health("image"), Metrics()
    measures = Measures(metrics)
    hot = HotAnswers(Known(), Shelf(settings.memory_cache_bytes, measures.shelved), measures)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        workers = settings.workers or usable_cores()
        with arena_of(settings.originals_cache_bytes) as arena:
            async with (
                connect(settings, health, metrics) as connected,
                WorkerPool(workers, partial(prepare, settings.max_pixels), arena=arena) as pool,
                _gallery(
                    settings, connected, pool, hot, arena=arena, measures=measures, health=health
                ) as gallery,
            ):
                app.state.gallery = gallery
                yield

    return web.create_app(
        settings=settings,
        health=health,
        measures=metrics,
        routes=ROUTES,
        lifespan=lifespan,
        shortcut=Revisits(hot),
        dependencies={"gallery": Provide(_provide_gallery, sync_to_thread=False)},
    )


def _provide_gallery(state: State) -> Gallery:
    gallery: Gallery = state.gallery
    return gallery


@asynccontextmanager
async def _gallery(
    settings: Settings,
    connected: Platform,
    pool: WorkerPool,
    hot: HotAnswers,
    *,
    arena: Arena | None,
    measures: Measures,
    health: Health,
) -> AsyncIterator[Gallery]:
    """Put the parts together, run what runs beside the requests, end it in the right order."""
    originals = Originals(connected.bus, connected.bucket("originals"), hot.known)
    negatives = Negatives(originals, arena)
    cache = RenditionCache(
        connected.bucket("renditions"), originals.exists, measures, RENDITIONS_BYTES
    )
    darkroom = Darkroom(
        originals,
        cache,
        pool,
        measures,
        Limits(
            max_pixels=settings.max_pixels,
            max_output_pixels=settings.max_output_pixels,
            max_animation_frames=settings.max_animation_frames,
            max_animation_pixels=settings.max_animation_pixels,
        ),
        shelf=hot.shelf,
        places=Places(
            pool.size,
            settings.max_waiting,
            settings.decoding_bytes,
            measures.renditions.labels("busy").inc,
        ),
        deadline_s=settings.render_deadline_s,
        negatives=negatives,
    )

    def forget(image_id: str) -> None:
        hot.shelf.drop(image_id)
        negatives.drop(image_id)

    handlers = Handlers(cache)
    following = asyncio.create_task(cache.follow())
    deleted = await connected.bus.consume(CONSUMERS["image-deleted"], handlers.image_deleted)
    health.watch("rendition_index", lambda: cache.unhealthy)
    health.watch("image-deleted", lambda: deleted.healthy)
    health.watch(
        "rendition_index_task",
        lambda: "the task that follows the renditions has ended" if following.done() else None,
        fatal=True,
    )
    try:
        async with hot.known.listening(connected.doorbell, forget):
            yield Gallery(
                originals=originals,
                darkroom=darkroom,
                hot=hot,
                cache_control=cache_control(settings.cache_max_age_s),
                bus=connected.bus,
                presets=Presets(table=presets.load(settings.presets), only=settings.presets_only),
                signatures=Signatures(
                    keys=signatures.keys_of(settings.signing_keys), unsigned=settings.unsigned
                ),
                max_age_s=settings.cache_max_age_s,
                unsettled_max_age_s=settings.unsettled_max_age_s,
                max_transform_bytes=settings.max_transform_bytes,
                spools=Spools(),
                fallback_image_id=settings.fallback_image_id or None,
                interpreter=Interpreter(),
            )
    finally:
        health.stopping = True
        await deleted.stop()
        await darkroom.close()
        await cache.settle()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
