"""The pictures that units are made of, and their labels: read once for the units of one picture.

Units come picture by picture, so that the last few pictures are nearly always the next ones.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import msgspec
from imagesystem.errors import ObjectMissing
from imagesystem.objects import Bucket
from imagesystem.originals import Originals

from augmentation_service.datasets import Given
from augmentation_service.rendering import Other
from augmentation_service.tasks.documents import Task

__all__ = ["Sources", "labels_of"]

_HELD_BYTES = 64 * 1024 * 1024
_LABELS_HELD = 4


class _Picture(msgspec.Struct, frozen=True):
    data: bytes
    sha256: str


class Sources:
    """Reads pictures, and keeps the last ones."""

    def __init__(self, originals: Originals, variants: Bucket) -> None:
        self._originals = originals
        self._variants = variants
        self._held: OrderedDict[str, _Picture] = OrderedDict()
        self._held_bytes = 0
        self._reading: dict[str, asyncio.Future[_Picture]] = {}
        self._labels: OrderedDict[str, list[Given | None]] = OrderedDict()

    async def picture(self, task: Task, place: int) -> tuple[bytes, str]:
        """Return the bytes of a picture of a task, and their SHA-256.

        Raises `Rejected` 404, 410 if an image is not there; of one that was deleted a moment ago
        the bytes may still come.
        """
        found = await self._read(task, place)
        return found.data, found.sha256

    async def other(self, task: Task, place: int) -> Other:
        """Return a picture to mix in."""
        data, sha256 = await self.picture(task, place)
        return Other(data=data, source=sha256, given=await self.labels(task, place))

    async def labels(self, task: Task, place: int) -> Given | None:
        """Return the labels of a picture, if it has some."""
        return (await self.all_labels(task))[place] if task.labelled else None

    async def all_labels(self, task: Task) -> list[Given | None]:
        """Return the labels of every picture of a task that has some."""
        held = self._labels.get(task.task_id)
        if held is None:
            _, data = await self._variants.get(task.labels_object)
            held = self._labels[task.task_id] = msgspec.json.decode(data, type=list[Given | None])
            while len(self._labels) > _LABELS_HELD:
                self._labels.popitem(last=False)
        return held

    async def _read(self, task: Task, place: int) -> _Picture:
        key = task.file_object(place) if task.files else task.images[place]
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        # Those who come while it is read wait for the same bytes.
        if key not in self._reading:
            reading = asyncio.ensure_future(self._fetch(task, key))
            self._reading[key] = reading
            reading.add_done_callback(lambda done: self._settled(key, done))
        return await asyncio.shield(self._reading[key])

    def _settled(self, key: str, done: asyncio.Future[_Picture]) -> None:
        self._reading.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waits is told; perhaps nobody does any more

    async def _fetch(self, task: Task, key: str) -> _Picture:
        if task.files:
            info, data = await self._variants.get(key)
            found = _Picture(data, info.digest)
        else:
            original = await self._originals.find(key)
            found = _Picture(await self._originals.whole(original), original.sha256)
        self._keep(key, found)
        return found

    def _keep(self, key: str, found: _Picture) -> None:
        if len(found.data) > _HELD_BYTES // 2:
            return
        self._held[key] = found
        self._held_bytes += len(found.data)
        while self._held_bytes > _HELD_BYTES:
            _, dropped = self._held.popitem(last=False)
            self._held_bytes -= len(dropped.data)


async def labels_of(variants: Bucket, task: Task) -> list[Given | None]:
    """Return the labels of every picture of a task; none if it has none, or they are gone."""
    if not task.labelled:
        return [None] * task.pictures
    try:
        _, data = await variants.get(task.labels_object)
    except ObjectMissing:
        return [None] * task.pictures
    return msgspec.json.decode(data, type=list[Given | None])
