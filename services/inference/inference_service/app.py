"""The wiring: what inference hears, what it serves, what it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import msgspec
from imagesystem import platform, web
from imagesystem.health import Health
from imagesystem.metrics import Metrics
from imagesystem.models import Shelf
from imagesystem.places import Allowance
from imagesystem.platform import Connect
from imagesystem.topology import CONSUMERS, Consumer
from imagesystem.workers import WorkerPool
from litestar import Litestar

from inference_service.bodies import Bodies
from inference_service.embedder import Embedder
from inference_service.enquiries import Enquiries
from inference_service.examination import Examination
from inference_service.handlers import InferHandler, UploadedHandler
from inference_service.inventory import Inventory
from inference_service.looking import prepare_worker
from inference_service.measures import Measures
from inference_service.models import Models
from inference_service.networks.running import Runner
from inference_service.networks.selection import Selection
from inference_service.recognition import Recognition
from inference_service.routes import routes
from inference_service.settings import Settings
from inference_service.tasks import TASKS

__all__ = ["create_app"]


def create_app(settings: Settings, connect: Connect = platform.connect) -> Litestar:
    """Return the inference service."""
    health, metrics = Health("inference"), Metrics()
    measures = Measures(metrics)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            connected = await stack.enter_async_context(connect(settings, health, metrics))
            bus, originals = connected.bus, connected.bucket("originals")
            models = Models()
            runner = Runner(settings.models_folder, settings.networks, niceness=settings.niceness)
            await stack.enter_async_context(runner)
            selection = Selection(models, Shelf(settings.models_folder), runner)
            await stack.enter_async_context(selection)
            prepare = partial(prepare_worker, models.built_in(settings.planned_tasks))
            pool = WorkerPool(settings.worker_count, prepare, niceness=settings.niceness)
            await stack.enter_async_context(pool)
            examination = Examination(
                pool,
                models,
                settings.limits,
                measures,
                deadline_s=settings.deadline_s,
                wait_s=settings.wait_s,
            )
            in_hand = Allowance(settings.decoding_bytes)
            recognition = Recognition(bus, originals, examination, measures, in_hand)
            enquiries = Enquiries(recognition, examination)
            measures.waiting.set_function(lambda: pool.waiting + enquiries.waiting)
            app.state.recognition, app.state.settings = recognition, settings
            app.state.enquiries = enquiries
            app.state.bodies = Bodies(recognition, settings.max_upload_bytes)
            app.state.inventory = Inventory(models, selection, runner, measures)
            app.state.runner = runner
            health.watch("models", lambda: runner.provider_missing)

            handlers: dict[str, UploadedHandler | InferHandler] = {
                "inference-uploaded": UploadedHandler(recognition, settings.planned_tasks),
                **{f"inference-{task}": InferHandler(recognition) for task in TASKS},
            }
            for name, handler in handlers.items():
                consumption = await bus.consume(
                    _in_hand(name, pool.size), handler.handle, gave_up=handler.gave_up
                )
                stack.push_async_callback(consumption.stop)
                health.watch(
                    name,
                    lambda heard=consumption: heard.healthy,  # type: ignore[misc]
                    vital=name == "inference-uploaded",
                )
            embedder = Embedder(enquiries, connected.bucket("examples"), settings.max_upload_bytes)
            await stack.enter_async_context(connected.questions.answering("embed", embedder.embed))
            for task in TASKS:
                health.watch(f"model of {task}", partial(recognition.trouble, task), vital=False)
                health.watch(f"choice for {task}", partial(selection.trouble, task), vital=False)
            yield

    return web.create_app(
        settings=settings,
        health=health,
        measures=metrics,
        routes=routes,
        lifespan=lifespan,
        max_body_bytes=None,  # `Bodies` reads streams and counts itself
    )


def _in_hand(name: str, workers: int) -> Consumer:
    """Return a durable with as many messages in hand as keep the workers busy.

    More than work: while some are looked at, others are read, and answers are said.
    """
    count = 2 * workers + 2 if name == "inference-uploaded" else workers + 1
    return msgspec.structs.replace(CONSUMERS[name], concurrency=count)
