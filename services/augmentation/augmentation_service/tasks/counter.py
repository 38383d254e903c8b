"""Where tasks are handed in: orders are checked whole, written down, and then planned."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar

import msgspec
from imagesystem import ids, logs
from imagesystem.bodies import Body, BodyLimit, Receive
from imagesystem.errors import ImageSystemError, Rejected
from imagesystem.ids import parse_image_id
from imagesystem.objects import Bucket
from imagesystem.originals import Originals
from imagesystem.spools import Spool, Spools

from augmentation_service import forms, labels, requests
from augmentation_service.edits import Edit
from augmentation_service.forms import Limits
from augmentation_service.measures import Measures
from augmentation_service.settings import Settings
from augmentation_service.shelf import Shelf
from augmentation_service.studio import FORM_OVERHEAD
from augmentation_service.tasks import orders
from augmentation_service.tasks.documents import SentFile, Task
from augmentation_service.tasks.ledger import Ledger
from augmentation_service.tasks.orders import (
    BatchOrder,
    ScaleOrderOfImage,
    TaskOrder,
    TaskOrderOfFiles,
)
from augmentation_service.tasks.planning import Planner

__all__ = ["Counter"]

Order = TypeVar("Order", bound=msgspec.Struct)
log = logs.get(__name__)

#: Images looked up at once.
_AT_ONCE = 32


class Counter:
    """What the routes that make tasks call. All raise `Rejected` before anything is kept."""

    def __init__(
        self,
        *,
        originals: Originals,
        variants: Bucket,
        shelf: Shelf,
        ledger: Ledger,
        planner: Planner,
        measures: Measures,
        spools: Spools,
        settings: Settings,
    ) -> None:
        self._originals = originals
        self._variants = variants
        self._shelf = shelf
        self._ledger = ledger
        self._planner = planner
        self._measures = measures
        self._spools = spools
        self._settings = settings

    async def augment(self, receive: Receive, headers: Mapping[str, str]) -> Task:
        """Take an order of images × recipe × variants: of ids, or of what a query finds."""
        order = await self._order(receive, headers, TaskOrder)
        if (order.ids is None) == (order.query is None):
            raise requests.invalid("give `ids` or a `query`")
        if order.query is not None and order.labels is not None:
            raise requests.invalid("labels name their pictures, a query does not: give `ids`")
        images = [] if order.ids is None else orders.images_of(order.ids)
        task = msgspec.structs.replace(
            await self._begun(order),
            images=images,
            query=None if order.query is None else orders.query_of(order.query),
        )
        if task.query is None:
            self._check_size(task)
            await self._check_there(images)
        else:
            orders.check_size(0, order.variants, self._settings)
        return await self._accept(await self._labelled(task, order, images))

    async def augment_files(self, receive: Receive, headers: Mapping[str, str]) -> Task:
        """Take an order of the pictures in a form × recipe × variants; they are kept with it."""
        settings, task_id = self._settings, ids.new_id()
        limit = BodyLimit(
            name="MAX_TASK_UPLOAD_BYTES",
            allowed=settings.max_task_upload_bytes,
            overhead=settings.max_order_bytes + FORM_OVERHEAD,
        )
        limits = Limits(
            max_upload_bytes=settings.max_upload_bytes,
            max_request_bytes=settings.max_order_bytes,
            max_files=settings.max_task_images,
            fields_limit="MAX_ORDER_BYTES",
            files_limit="MAX_TASK_IMAGES",
        )
        kept = Task(task_id=task_id, kind="augment", variants=1, created_at=ids.now())

        async def keep(filename: str, spool: Spool) -> None:
            place = len(kept.files)
            if not spool.size:
                raise Rejected(422, "empty_file", f"file {place + 1} is empty")
            kept.files.append(
                SentFile(
                    name=filename[:255] or f"picture-{place}",
                    sha256=spool.sha256,
                    size_bytes=spool.size,
                )
            )
            await self._variants.put(kept.file_object(place), await spool.whole())

        try:
            async with self._body(receive, headers, limit) as body:
                content_type = headers.get("content-type", "")
                order = orders.task_from_form(
                    await forms.read_files(body.read(), content_type, keep, limits, self._spools)
                )
            task = msgspec.structs.replace(
                await self._begun(order), task_id=task_id, files=kept.files
            )
            self._check_size(task)
            names = [file.name for file in kept.files]
            task = await self._labelled(task, order, names)
        except BaseException:  # also when the client went away
            await self._discard(kept)
            raise
        return await self._accept(task)

    async def _begun(self, order: TaskOrderOfFiles) -> Task:
        """Return a task with its recipe, but no pictures yet."""
        steps, name = await self._shelf.steps(order.recipe)
        requests.recipe_of(steps, self._settings.max_steps)
        return Task(
            task_id=ids.new_id(),
            kind="augment",
            variants=order.variants,
            created_at=ids.now(),
            format=order.format,
            quality=order.quality,
            seed=order.seed,
            recipe=steps,
            recipe_name=name,
            rules=order.rules,
        )

    def _check_size(self, task: Task) -> None:
        orders.check_size(task.pictures, task.variants, self._settings)
        recipe = requests.recipe_of(task.recipe, self._settings.max_steps)
        orders.check_pictures(recipe, task.pictures)

    async def _labelled(self, task: Task, order: TaskOrderOfFiles, names: list[str]) -> Task:
        """Keep the labels of an order beside its task; raises `Rejected` 400 `invalid_labels`."""
        if order.labels is None:
            return task
        givens, categories = labels.aligned(order.labels, names)
        task = msgspec.structs.replace(task, labelled=True, categories=categories)
        orders.check_document(task)
        await self._variants.put(task.labels_object, msgspec.json.encode(givens))
        return task

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
        return await self._accept(_scaling(order, ids.new_id(), chain, images=[image_id]))

    async def scale_upload(self, receive: Receive, headers: Mapping[str, str]) -> Task:
        """Take an order of the picture in a form in another size; it is kept with the task."""
        settings = self._settings
        allowed = settings.max_upload_bytes
        overhead = settings.max_request_bytes + FORM_OVERHEAD
        limit = BodyLimit(name="MAX_UPLOAD_BYTES", allowed=allowed, overhead=overhead)
        limits = Limits(max_upload_bytes=allowed, max_request_bytes=settings.max_request_bytes)
        with self._spools.open() as spool:
            async with self._body(receive, headers, limit) as body:
                content_type = headers.get("content-type", "")
                fields = await forms.read(body.read(), content_type, spool, limits)
            order = orders.scale_from_form(fields)
            chain = orders.scale_chain(order, settings.max_pixels)
            if not spool.size:
                raise Rejected(422, "empty_file", "the file is empty")
            file = SentFile(name="picture", sha256=spool.sha256, size_bytes=spool.size)
            task = _scaling(order, ids.new_id(), chain, files=[file])
            await self._variants.put(task.file_object(0), await spool.whole())
        return await self._accept(task)

    async def _order(
        self, receive: Receive, headers: Mapping[str, str], kind: type[Order]
    ) -> Order:
        limit = BodyLimit(name="MAX_ORDER_BYTES", allowed=self._settings.max_order_bytes)
        async with self._body(receive, headers, limit) as body:
            data = await body.whole()
        return requests.converted(requests.decoded(data, "the body"), kind, strict=True)

    def _body(self, receive: Receive, headers: Mapping[str, str], limit: BodyLimit) -> Body:
        return Body(receive, headers, limit, self._settings.idle_timeout_s)

    async def _check_there(self, images: list[str]) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def check(image_id: str) -> None:
            async with gate:
                await self._originals.find(image_id)

        # All are awaited, so that none is left running when one of them is refused.
        for fault in await asyncio.gather(*map(check, images), return_exceptions=True):
            if fault is not None:
                raise fault

    async def _discard(self, task: Task) -> None:
        """Remove what was kept with a task that is not accepted."""
        for name in task.objects:
            info = await self._variants.info(name)
            if info is not None:
                await self._variants.delete(info)

    async def _accept(self, task: Task) -> Task:
        try:
            orders.check_document(task)
            await self._ledger.create(task)
            await self._planner.request(task)
        except ImageSystemError:  # a rejection too
            # The client is told that it failed: what was written shall not run later.
            with suppress(ImageSystemError):
                await self._ledger.forget(task.task_id)
                await self._discard(task)
            raise
        self._measures.shared.tasks_queued.labels(task.kind).inc()
        log.info("task_accepted", task_id=task.task_id, kind=task.kind, total=task.total)
        return task


def _scaling(
    order: orders.ScaleOrder,
    task_id: str,
    chain: list[Edit],
    *,
    images: list[str] | None = None,
    files: list[SentFile] | None = None,
) -> Task:
    return Task(
        task_id=task_id,
        kind="scale",
        images=images or [],
        files=files or [],
        variants=1,
        created_at=ids.now(),
        format=order.format,
        quality=order.quality,
        chains=[chain],
    )
