"""Many pictures in one request: each accepted or refused for itself."""

from __future__ import annotations

import asyncio

from imagesystem.errors import ImageSystemError

from registry_service.documents import BatchDocument, BatchResult, image_document, problem_of
from registry_service.reception import Arrival, Delivery
from registry_service.uploads import Uploads

__all__ = ["accept_all"]

#: Pictures of one batch that are validated and stored at once.
AT_ONCE = 4


async def accept_all(uploads: Uploads, delivery: Delivery) -> BatchDocument:
    """Accept each file; one that is refused, or cannot be kept now, does not stop the others."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def accept(arrival: Arrival) -> BatchResult:
        async with turns:
            return await _accept(uploads, arrival, delivery.tags)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(accept(arrival)) for arrival in delivery.files]
    results = [task.result() for task in running]
    accepted = sum(result.status == 201 for result in results)
    duplicates = sum(result.status == 200 for result in results)
    return BatchDocument(
        accepted=accepted,
        duplicates=duplicates,
        rejected=len(results) - accepted - duplicates,
        results=results,
    )


async def _accept(uploads: Uploads, arrival: Arrival, tags: list[str]) -> BatchResult:
    try:
        if arrival.refused is not None:
            raise arrival.refused
        accepted = await uploads.accept(arrival.spool, arrival.filename, tags)
    except ImageSystemError as error:
        problem = problem_of(error)
        return BatchResult(filename=arrival.filename, status=problem.status, problem=problem)
    finally:
        arrival.spool.close()
    status = 200 if accepted.duplicate else 201
    return BatchResult(filename=arrival.filename, status=status, image=image_document(accepted))
