"""What the environment may set for this service, with units."""

from __future__ import annotations

from typing import Annotated

from imagesystem.settings import ServiceSettings
from msgspec import Meta

__all__ = ["Settings"]


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """The augmentation service's settings; a field `workers` is the variable `WORKERS`."""

    workers: Annotated[
        int, Meta(ge=0, le=256, description="worker processes that augment; 0: one per core")
    ] = 0
    max_waiting: Annotated[
        int, Meta(ge=1, description="previews that wait for a worker; more are answered 503")
    ] = 32
    deadline_s: Annotated[
        float, Meta(gt=0, description="seconds that one preview may take a worker")
    ] = 30.0
    max_pixels: Annotated[
        int,
        Meta(ge=1, description="pixels of a picture at most, as decoded and after every step"),
    ] = 100_000_000
    max_upload_bytes: Annotated[
        int, Meta(ge=1, description="bytes of a picture that is sent for a preview")
    ] = 50 * 1024 * 1024
    max_request_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="bytes of what is sent besides the picture: recipe, boxes, keypoints",
        ),
    ] = 1024 * 1024
    spool_memory_bytes: Annotated[
        int, Meta(ge=0, description="bytes of all arriving pictures kept in memory together")
    ] = 64 * 1024 * 1024
    idle_timeout_s: Annotated[
        float, Meta(gt=0, description="seconds without a byte after which a request is given up")
    ] = 60.0
    max_steps: Annotated[int, Meta(ge=1, le=256, description="steps of a recipe")] = 32
    variants_bytes: Annotated[
        int, Meta(ge=0, description="bytes of all variants; 0: as much as NATS may keep")
    ] = 0
    max_order_bytes: Annotated[
        int,
        Meta(ge=1024, description="bytes of the order of a task: its recipe, its ids, its labels"),
    ] = 8 * 1024 * 1024
    max_task_upload_bytes: Annotated[
        int, Meta(ge=1, description="bytes of all pictures that come with a task")
    ] = 1024**3
    max_task_images: Annotated[int, Meta(ge=1, description="images of a task")] = 10_000
    max_task_variants: Annotated[
        int, Meta(ge=1, description="variants of an image, or results of it in a batch, in a task")
    ] = 1000
    max_task_units: Annotated[
        int, Meta(ge=1, le=10_000_000, description="units of a task: images times variants")
    ] = 100_000
    unit_deadline_s: Annotated[
        float, Meta(gt=0, le=500, description="seconds that one unit of a task may take a worker")
    ] = 60.0
    results_ttl_s: Annotated[
        float, Meta(gt=0, description="seconds after which a task and its results are removed")
    ] = 604_800.0
    expiry_every_s: Annotated[
        float, Meta(gt=0, description="seconds between looks for tasks to remove, or to resume")
    ] = 60.0
