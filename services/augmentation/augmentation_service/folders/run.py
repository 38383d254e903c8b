"""A run: shares go to worker processes, and what all of them made is put together at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
from imagesystem.errors import Rejected, Transient
from imagesystem.workers import WorkerPool

from augmentation_service.folders import labels
from augmentation_service.folders.jobs import Outcome, Record, Share, make, record_of, written
from augmentation_service.folders.plan import Plan
from augmentation_service.rendering import prepare

__all__ = ["Summary", "run"]

#: Seconds that one variant may take a worker.
_DEADLINE_S = 120.0


class Summary(msgspec.Struct, kw_only=True):
    """What a run came to: variants `made` now, `kept` from before, and `problems` by picture."""

    made: int = 0
    kept: int = 0
    problems: dict[str, str] = {}


async def run(plan: Plan, workers: int, tell: Callable[[int], None]) -> Summary:
    """Make everything that is not there yet; `tell` hears how many variants are settled."""
    summary = Summary()
    async with WorkerPool(workers, prepare) as pool:
        async for share, outcome in _outcomes(pool, plan.shares()):
            summary.made += outcome.made
            summary.kept += outcome.kept
            if outcome.problem is not None:
                summary.problems[share.name] = outcome.problem
            tell(share.last - share.first)
    records = list(_records(plan, summary))
    lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
    written(plan.order.out / "results.jsonl", lines)
    form = plan.order.labels_out or plan.order.labels
    if form is not None:
        await labels.write(form, plan.order.out, records, plan.categories)
    return summary


async def _outcomes(
    pool: WorkerPool, shares: Iterator[Share]
) -> AsyncIterator[tuple[Share, Outcome]]:
    """Yield what became of every share; a few more are under way than there are workers."""
    running: dict[asyncio.Task[Outcome], Share] = {}
    more = True
    try:
        while more or running:
            while more and len(running) < pool.size + 2:
                share = next(shares, None)
                if share is None:
                    more = False
                    break
                running[asyncio.create_task(_outcome(pool, share))] = share
            if running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield running.pop(task), task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _outcome(pool: WorkerPool, share: Share) -> Outcome:
    deadline_s = _DEADLINE_S * (share.last - share.first)
    try:
        return await pool.run(make, share, deadline_s=deadline_s, called="augment")
    except (Transient, Rejected) as error:
        return Outcome(name=share.name, problem=f"{error.code}: {error.message}")


def _records(plan: Plan, summary: Summary) -> Iterator[Record]:
    """Yield the records of all variants, in order; of pictures with a problem, none."""
    for name, key in zip(plan.pictures, plan.keys(), strict=True):
        if name in summary.problems:
            continue
        for variant in range(plan.order.variants):
            record = record_of(plan.order.out, key, variant)
            if record is not None:
                yield record
