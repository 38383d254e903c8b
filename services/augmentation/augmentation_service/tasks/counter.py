"""Where tasks are handed in: orders are checked whole, written down, and then planned."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar

import msgspec
from imagesystem import ids, logs
from imagesystem.errors import ImageSystemError, Rejected
from imagesystem.ids import parse_image_id
from imagesystem.objects import Bucket
from imagesystem.originals import Originals

from augmentation_service import bodies, forms, requests
from augmentation_service.bodies import Receive, Spool
from augmentation_service.edits import Edit
from augmentation_service.forms import Limits
from augmentation_service.measures import Measures
from augmentation_service.settings import Settings
from augmentation_service.studio import FORM_OVERHEAD
from augmentation_service.tasks import orders
from augmentation_service.tasks.documents import Task
from augmentation_service.tasks.ledger import Ledger
from augmentation_service.tasks.orders import BatchOrder, ScaleOrderOfImage, TaskOrder
from augmentation_service.tasks.planning import Planner

__all__ = ["Counter"]

Order = TypeVar("Order", bound=msgspec.Struct)
log = logs.get(__name__)

#: Images looked up at once.
_AT_ONCE = 32
#: What a task may have as JSON, all told: NATS takes messages of 1 MiB, headers included.
_MAX_DOCUMENT_BYTES = 900 * 1024


class Counter:
    """What the routes that make tasks call. All raise `Rejected` before anything is kept."""

    def __init__(
        self,
        *,
        originals: Originals,
        variants: Bucket,
        ledger: Ledger,
        planner: Planner,
        measures: Measures,
        settings: Settings,
    ) -> None:
        self._originals = originals
        self._variants = variants
        self._ledger = ledger
        self._planner = planner
        self._measures = measures
        self._settings = settings

    async def augment(self, receive: Receive, headers: Mapping[str, str]) -> Task:
        """Take an order of ids × recipe × variants."""
        order = await self._order(receive, headers, TaskOrder)
        images = orders.images_of(order.ids)
        orders.check_size(len(images), order.variants, self._settings)
        requests.recipe_of(order.recipe, self._settings.max_steps)
        await self._check_there(images)
        return await self._accept(
            Task(
                task_id=ids.new_id(),
                kind="augment",
                images=images,
                variants=order.variants,
                created_at=ids.now(),
                format=order.format,
                quality=order.quality,
                seed=order.seed,
                recipe=order.recipe,
            )
        )

    async def batch(self, receive: Receive, headers: Mapping[str, str]) -> Task:
        """Take an order of ids × operations."""
        order = await self._order(receive, headers, BatchOrder)
        images, chains = orders.images_of(order.ids), orders.chains_of(order)
        orders.check_size(len(images), len(chains), self._settings)
        await self._check_there(images)
        return await self._accept(
            Task(
                task_id=ids.new_id(),
                kind="batch",
                images=images,
                variants=len(chains),
                created_at=ids.now(),
                format=order.format,
                quality=order.quality,
                chains=chains,
            )
        )

    async def scale_image(self, receive: Receive, headers: Mapping[str, str]) -> Task:
        """Take an order of one image in another size."""
        order = await self._order(receive, headers, ScaleOrderOfImage)
        image_id = parse_image_id(order.image_id)
        chain = orders.scale_chain(order, self._settings.max_pixels)
        await self._check_there([image_id])
        return await self._accept(_scaling(order, ids.new_id(), image_id, chain))

    async def scale_upload(
        self, receive: Receive, headers: Mapping[str, str], boundary: str
    ) -> Task:
        """Take an order of the picture in a form in another size; it is kept with the task."""
        settings = self._settings
        allowed = settings.max_upload_bytes
        overhead = settings.max_request_bytes + FORM_OVERHEAD
        bodies.check_headers(headers, "MAX_UPLOAD_BYTES", allowed, overhead)
        body = bodies.read(receive, "MAX_UPLOAD_BYTES", allowed + overhead, settings.idle_timeout_s)
        limits = Limits(max_upload_bytes=allowed, max_request_bytes=settings.max_request_bytes)
        with Spool() as spool:
            order = orders.scale_from_form(await forms.read(body, boundary, spool, limits))
            chain = orders.scale_chain(order, settings.max_pixels)
            if not spool.size:
                raise Rejected(422, "empty_file", "the file is empty")
            task_id = ids.new_id()
            task = _scaling(order, task_id, task_id, chain, uploaded=spool.sha256)
            await self._variants.put(task.source, await spool.read())
        return await self._accept(task)

    async def _order(
        self, receive: Receive, headers: Mapping[str, str], kind: type[Order]
    ) -> Order:
        allowed = self._settings.max_request_bytes
        bodies.check_headers(headers, "MAX_REQUEST_BYTES", allowed)
        pieces = bodies.read(receive, "MAX_REQUEST_BYTES", allowed, self._settings.idle_timeout_s)
        data = b"".join([piece async for piece in pieces])
        return requests.converted(requests.decoded(data, "the body"), kind, strict=True)

    async def _check_there(self, images: list[str]) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def check(image_id: str) -> None:
            async with gate:
                await self._originals.find(image_id)

        # All are awaited, so that none is left running when one of them is refused.
        for fault in await asyncio.gather(*map(check, images), return_exceptions=True):
            if fault is not None:
                raise fault

    async def _accept(self, task: Task) -> Task:
        try:
            _check_document(task)
            await self._ledger.create(task)
            await self._planner.request(task.task_id)
        except ImageSystemError:  # a rejection too
            # The client is told that it failed: what was written shall not run later.
            with suppress(ImageSystemError):
                await self._ledger.forget(task.task_id)
                source = await self._variants.info(task.source) if task.uploaded else None
                if source is not None:
                    await self._variants.delete(source)
            raise
        self._measures.shared.tasks_queued.labels(task.kind).inc()
        log.info("task_accepted", task_id=task.task_id, kind=task.kind, total=task.total)
        return task


def _check_document(task: Task) -> None:
    size = len(msgspec.json.encode(task))
    if size > _MAX_DOCUMENT_BYTES:
        raise Rejected(
            413,
            "task_too_large",
            f"written down, the task has {size} bytes",
            limit="task document bytes",
            allowed=_MAX_DOCUMENT_BYTES,
            actual=size,
        )


def _scaling(
    order: orders.ScaleOrder,
    task_id: str,
    image: str,
    chain: list[Edit],
    *,
    uploaded: str | None = None,
) -> Task:
    return Task(
        task_id=task_id,
        kind="scale",
        images=[image],
        variants=1,
        created_at=ids.now(),
        format=order.format,
        quality=order.quality,
        chains=[chain],
        uploaded=uploaded,
    )
