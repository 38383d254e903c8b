"""All pictures of a task as one ZIP, made while it is sent: nothing of it is held or spooled."""

from __future__ import annotations

import stat
import zlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TypeAlias

import msgspec
from imagesystem.objects import Bucket
from stream_zip import ZIP_64, Method, async_stream_zip

from augmentation_service.tasks.documents import Result, Task
from augmentation_service.tasks.ledger import Ledger

__all__ = ["archive"]

Member: TypeAlias = tuple[str, datetime, int, Method, AsyncIterator[bytes]]

_MODE = stat.S_IFREG | 0o644
_PAGE = 500


def archive(task: Task, ledger: Ledger, variants: Bucket) -> AsyncIterator[bytes]:
    """Stream the ZIP: `<image id>/<variant>.<format>`, and `results.jsonl` at the end.

    What is not there any more (its image was deleted) is left out.
    """
    members = _members(task, ledger, variants)
    stored = async_stream_zip(members, get_compressobj=_storing)
    return aiter(stored)


def _storing() -> zlib._Compress:
    # Pictures are compressed already: level 0 copies them.
    return zlib.compressobj(level=0, wbits=-zlib.MAX_WBITS)


async def _members(task: Task, ledger: Ledger, variants: Bucket) -> AsyncIterator[Member]:
    async for result in _results(task, ledger):
        info = await variants.info(result.object or "") if result.object else None
        if info is not None:
            at, content = result.finished_at, variants.read(info)
            yield _name(task, result), at, _MODE, ZIP_64, content
    lines = _lines(task, ledger)
    yield "results.jsonl", task.created_at, _MODE, ZIP_64, lines


async def _lines(task: Task, ledger: Ledger) -> AsyncIterator[bytes]:
    async for result in _results(task, ledger):
        named = msgspec.to_builtins(result) | {"file": _name(task, result)}
        yield msgspec.json.encode(named) + b"\n"


async def _results(task: Task, ledger: Ledger) -> AsyncIterator[Result]:
    after = 0
    while True:
        found, after = await ledger.results(task.task_id, "done", after=after, limit=_PAGE)
        if not found:
            return
        for result in found:
            yield result


def _name(task: Task, result: Result) -> str:
    extension = (result.media_type or "").removeprefix("image/").replace("jpeg", "jpg")
    return f"{result.image_id or task.task_id}/{result.variant}.{extension}"
