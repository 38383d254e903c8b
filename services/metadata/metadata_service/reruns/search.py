"""Images whose answer of a task is absent or outdated, found in the log and asked for again.

Everything is read from the log, in the order of uploads, so that memory stays flat and MongoDB
need not be there. What is asked for and not done yet is a command in its queue, and is not asked
for again: a rerun that was broken off, or is run twice, does no harm.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import msgspec
from imagesystem import ids, logs
from imagesystem.bus import Bus, Received
from imagesystem.errors import StoreFull, Transient, WrongSequence
from imagesystem.events import Fact, Infer, Inferred

__all__ = ["Counts", "Wanted", "is_older", "rerun"]

log = logs.get(__name__)

#: Images looked at at once.
WINDOW = 128
#: Between attempts while the queue of commands is full, or NATS away.
WAIT_S = 1.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which images: without an answer of `task`, with one of a version before `older_than`.

    Or with one of any model but `not_by`: a name, or a name and a version with a space between.
    """

    task: str
    missing: bool = False
    older_than: str | None = None
    not_by: str | None = None
    dry_run: bool = False


class Counts(msgspec.Struct, kw_only=True):
    """What was found so far, in images.

    `seen`: looked at, of `total`; `absent`, `outdated`, `current`: their answers; `asked`: for
    so many the task is asked for now; `queued`: asked for before and not done yet.
    """

    seen: int = 0
    total: int = 0
    absent: int = 0
    outdated: int = 0
    current: int = 0
    asked: int = 0
    queued: int = 0
    ended: bool = False


async def rerun(bus: Bus, wanted: Wanted) -> AsyncIterator[Counts]:
    """Ask for what is wanted; yields the counts as they grow. Raises `Unavailable`."""
    counts = Counts()
    async with aclosing(bus.history("images.v1.*.uploaded", batch=WINDOW)) as stretches:
        async for stretch in stretches:
            await _look(bus, wanted, stretch.facts, counts)
            counts.seen += len(stretch.facts)
            counts.total = counts.seen + stretch.pending
            yield counts
    counts.ended = True
    yield counts
    log.info("rerun_ended", task=wanted.task, asked=counts.asked, seen=counts.seen)


async def _look(
    bus: Bus, wanted: Wanted, uploads: Sequence[Received[Fact]], counts: Counts
) -> None:
    answers = await asyncio.gather(*(_answer(bus, wanted.task, upload) for upload in uploads))
    asked = []
    for upload, answer in zip(uploads, answers, strict=True):
        if answer is None:
            counts.absent += 1
            needed = wanted.missing
        elif _is_outdated(answer, wanted):
            counts.outdated += 1
            needed = True
        else:
            counts.current += 1
            needed = False
        if needed:
            asked.append(upload.event.image_id)
    if wanted.dry_run:
        counts.asked += len(asked)
        return
    said = await asyncio.gather(*(_ask(bus, wanted.task, image_id) for image_id in asked))
    counts.asked += sum(said)
    counts.queued += len(said) - sum(said)


async def _answer(bus: Bus, task: str, upload: Received[Fact]) -> Inferred | None:
    """Return the answer that the image has, if it is about this upload."""
    found = await bus.latest(f"images.v1.{upload.event.image_id}.inferred.{task}")
    if found is None or found.sequence < upload.sequence:
        return None
    return found.event if isinstance(found.event, Inferred) else None


async def _ask(bus: Bus, task: str, image_id: str) -> bool:
    """Put the command into its queue; false: it is there already."""
    command = Infer(image_id=image_id, task=task, requested_at=ids.now())
    while True:
        try:
            await bus.publish(command, expected=0)
        except WrongSequence:
            return False
        except StoreFull:  # what is in the queue is being worked on: there will be room
            await asyncio.sleep(WAIT_S)
        except Transient as error:
            if error.code != "too_many_requests":
                raise
            await asyncio.sleep(WAIT_S)
        else:
            return True


def _is_outdated(answer: Inferred, wanted: Wanted) -> bool:
    if wanted.not_by is not None:
        name, _, version = wanted.not_by.partition(" ")
        if answer.model != name or (version and answer.model_version != version):
            return True
    return wanted.older_than is not None and is_older(answer.model_version, wanted.older_than)


def is_older(version: str, than: str) -> bool:
    """Say whether a version comes before another: numbers in them count as numbers."""
    return _key(version) < _key(than)


def _key(version: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|[^\d.+_\s-]+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
