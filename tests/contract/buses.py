"""What tests of the bus say and hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from imagesystem import ids
from imagesystem.bus import Bus
from imagesystem.events import Augmented, DeadLetter, Deleted, Planned, Uploaded, letter_id
from imagesystem.topology import Consumer


def uploaded(name: str = "a") -> Uploaded:
    return Uploaded(
        image_id=ids.image_id(name.encode()),
        filename=f"{name}.png",
        media_type="image/png",
        size_bytes=1,
        width=2,
        height=3,
        frames=1,
        sha256="00",
        uploaded_at=ids.now(),
    )


def planned(image_id: str, *tasks: str) -> Planned:
    return Planned(image_id=image_id, tasks=list(tasks), planned_at=ids.now())


def augmented(image_id: str, number: int) -> Augmented:
    variant = f"{number:032x}"
    return Augmented(
        image_id=image_id,
        variant_id=variant,
        task_id="task",
        object=variant,
        media_type="image/png",
        width=2,
        height=3,
        receipt={},
        augmented_at=ids.now(),
    )


def deleted(image_id: str) -> Deleted:
    return Deleted(image_id=image_id, reason="asked", deleted_at=ids.now())


def durable(name: str, **more: object) -> Consumer:
    return msgspec.convert(
        {
            "name": name,
            "service": "registry",
            "stream": "IMAGES",
            "subjects": ["images.v1.>"],
            "retry_s": 0.01,
            "attempts": 3,
            **more,
        },
        Consumer,
    )


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def letter_of(bus: Bus, consumer: Consumer, said_sequence: int) -> DeadLetter | None:
    number = letter_id(consumer.name, consumer.stream, said_sequence)
    found = await bus.latest(f"dead.v1.{consumer.name}.{number}")
    return found.event if found and isinstance(found.event, DeadLetter) else None
