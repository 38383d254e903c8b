"""All pictures of a task as one file, made while it is sent: nothing of it is held or spooled.

What is not there any more (its image was deleted) is left out.
"""

from __future__ import annotations

import stat
import tarfile
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from imagesystem.objects import Bucket, ObjectInfo
from stream_zip import ZIP_64, Method, async_stream_zip

from augmentation_service.datasets import Annotation, Category, Given, annotated, coco, voc, yolo
from augmentation_service.datasets.coco import Picture
from augmentation_service.engine import ENGINE, MovedLabels
from augmentation_service.mixing import others_needed
from augmentation_service.requests import recipe_of
from augmentation_service.tasks.documents import Result, Task
from augmentation_service.tasks.ledger import Ledger
from augmentation_service.tasks.sources import labels_of

__all__ = ["EXPORTS", "Export", "ExportFormat", "Exporter"]

ExportFormat: TypeAlias = Literal["zip", "webdataset", "coco", "yolo", "voc"]
_Pieces: TypeAlias = AsyncIterator[bytes]
_Member: TypeAlias = tuple[str, datetime, int, Method, _Pieces]

_MODE = stat.S_IFREG | 0o644
_PAGE = 500
_BLOCK = 512


class _Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A variant that is there; `key` names it in a data set, without an extension."""

    result: Result
    info: ObjectInfo
    key: str
    extension: str
    labels: MovedLabels | None
    annotations: list[Annotation]


class Exporter:
    """The results of one task, in any of the formats."""

    def __init__(self, task: Task, ledger: Ledger, variants: Bucket, max_steps: int) -> None:
        self._task = task
        self._ledger = ledger
        self._variants = variants
        self._mixes = others_needed(recipe_of(task.recipe, max_steps)) if task.recipe else 0
        self._givens: list[Given | None] = []

    def zip(self) -> _Pieces:
        """Stream a ZIP: `<picture>/<variant>.<format>`, then `results.jsonl`, `manifest.json`."""

        async def members() -> AsyncIterator[_Member]:
            async for one in self._samples():
                yield self._picture(one, f"{_folder(one)}.{one.extension}")
            yield self._results(lambda one: f"{_folder(one)}.{one.extension}")
            yield self._manifest()

        return _zipped(members())

    def webdataset(self) -> _Pieces:
        """Stream a tar for WebDataset: `<key>.<format>` and `<key>.json` with everything known."""
        return self._tarred()

    def coco(self) -> _Pieces:
        """Stream a ZIP: `images/…`, `annotations.json`, `results.jsonl`, `manifest.json`."""

        async def members() -> AsyncIterator[_Member]:
            async for one in self._samples():
                yield self._picture(one, f"images/{_file(one)}")
            document = coco.pieces(self._pictures, self._categories(), f"task {self._task.task_id}")
            yield self._member("annotations.json", document)
            yield self._results(lambda one: f"images/{_file(one)}")
            yield self._manifest()

        return _zipped(members())

    def yolo(self) -> _Pieces:
        """Stream a ZIP: `images/…`, `labels/….txt`, `data.yaml`, and the two manifests."""
        names = [category.name for category in self._categories()]

        async def members() -> AsyncIterator[_Member]:
            async for one in self._samples():
                yield self._picture(one, f"images/{_file(one)}")
                text = yolo.written(_size(one.result), names, one.annotations)
                yield self._member(f"labels/{one.key}.txt", _all(text))
            yield self._member("data.yaml", _all(yolo.data_yaml(names)))
            yield self._results(lambda one: f"images/{_file(one)}")
            yield self._manifest()

        return _zipped(members())

    def voc(self) -> _Pieces:
        """Stream a ZIP: `JPEGImages/…`, `Annotations/….xml`, and the two manifests."""

        async def members() -> AsyncIterator[_Member]:
            async for one in self._samples():
                yield self._picture(one, f"JPEGImages/{_file(one)}")
                text = voc.written(_file(one), (*_size(one.result), 3), one.annotations)
                yield self._member(f"Annotations/{one.key}.xml", _all(text))
            yield self._results(lambda one: f"JPEGImages/{_file(one)}")
            yield self._manifest()

        return _zipped(members())

    async def _tarred(self) -> _Pieces:
        # Readers of WebDataset pass over folders with such names.
        yield _tar_file("__manifest__/task.json", self._about(), self._task.created_at)
        async for one in self._samples():
            at = one.result.finished_at
            yield _tar_header(f"{one.key}.{one.extension}", one.info.size, at)
            async for piece in self._variants.read(one.info):
                yield piece
            yield bytes(-one.info.size % _BLOCK)
            known = msgspec.to_builtins(one.result)
            known["annotations"] = msgspec.to_builtins(one.annotations)
            known["source"] = self._task.called(self._task.unit(one.result.number).place)
            yield _tar_file(f"{one.key}.json", msgspec.json.encode(known), at)
        yield bytes(2 * _BLOCK)

    async def _samples(self) -> AsyncIterator[_Sample]:
        if not self._givens:
            self._givens = await labels_of(self._variants, self._task)
        async for result in self._done():
            info = await self._variants.info(result.object or "")
            if info is None:
                continue
            unit = self._task.unit(result.number)
            labels = await self._labels(result)
            extension = (result.media_type or "").removeprefix("image/").replace("jpeg", "jpg")
            yield _Sample(
                result=result,
                info=info,
                key=f"{self._task.called(unit.place)}-{result.variant}",
                extension=extension,
                labels=labels,
                annotations=self._annotations(result, labels),
            )

    async def _labels(self, result: Result) -> MovedLabels | None:
        if result.labels is not None or result.labels_object is None:
            return result.labels
        info = await self._variants.info(result.labels_object)
        if info is None:
            return None
        _, data = await self._variants.get(result.labels_object)
        return msgspec.json.decode(data, type=MovedLabels)

    def _annotations(self, result: Result, labels: MovedLabels | None) -> list[Annotation]:
        if labels is None:
            return []
        unit = self._task.unit(result.number)
        places = [unit.place, *self._task.others(unit, self._mixes)]
        givens = [self._givens[place] or Given() for place in places]
        return annotated(labels, givens, _size(result))

    async def _done(self) -> AsyncIterator[Result]:
        after = 0
        while True:
            found, after = await self._ledger.results(
                self._task.task_id, "done", after=after, limit=_PAGE
            )
            if not found:
                return
            for result in found:
                yield result

    async def _pictures(self) -> AsyncIterator[Picture]:
        async for one in self._samples():
            width, height = _size(one.result)
            yield Picture(
                name=f"images/{_file(one)}",
                width=width,
                height=height,
                annotations=one.annotations,
            )

    def _categories(self) -> list[Category]:
        return self._task.categories

    def _picture(self, one: _Sample, name: str) -> _Member:
        return name, one.result.finished_at, _MODE, ZIP_64, self._variants.read(one.info)

    def _member(self, name: str, content: _Pieces) -> _Member:
        return name, self._task.created_at, _MODE, ZIP_64, content

    def _results(self, name: Callable[[_Sample], str]) -> _Member:
        async def lines() -> _Pieces:
            async for one in self._samples():
                known = msgspec.to_builtins(one.result) | {"file": name(one)}
                yield msgspec.json.encode(known) + b"\n"

        return self._member("results.jsonl", lines())

    def _manifest(self) -> _Member:
        return self._member("manifest.json", _all(self._about()))

    def _about(self) -> bytes:
        task = self._task
        about: dict[str, Any] = {
            "task_id": task.task_id,
            "created_at": task.created_at,
            "kind": task.kind,
            "engine": ENGINE,
            "pictures": task.pictures,
            "variants": task.variants,
            "seed": task.seed,
            "recipe": task.recipe,
            "recipe_name": task.recipe_name,
            "rules": task.rules,
            "query": task.query,
            "classes": [category.name for category in self._categories()],
        }
        return msgspec.json.format(msgspec.json.encode(about)) + b"\n"


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A format: what it is, its extension, and how it is made."""

    media_type: str
    extension: str
    make: Callable[[Exporter], _Pieces]


EXPORTS: dict[str, Export] = {
    "zip": Export(media_type="application/zip", extension="zip", make=Exporter.zip),
    "webdataset": Export(media_type="application/x-tar", extension="tar", make=Exporter.webdataset),
    "coco": Export(media_type="application/zip", extension="coco.zip", make=Exporter.coco),
    "yolo": Export(media_type="application/zip", extension="yolo.zip", make=Exporter.yolo),
    "voc": Export(media_type="application/zip", extension="voc.zip", make=Exporter.voc),
}


def _folder(one: _Sample) -> str:
    return f"{one.key.removesuffix(f'-{one.result.variant}')}/{one.result.variant}"


def _file(one: _Sample) -> str:
    return f"{one.key}.{one.extension}"


def _size(result: Result) -> tuple[int, int]:
    return result.width or 0, result.height or 0


async def _all(data: bytes) -> _Pieces:
    yield data


def _zipped(members: AsyncIterator[_Member]) -> _Pieces:
    return aiter(async_stream_zip(members, get_compressobj=_storing))


def _storing() -> zlib._Compress:
    # Pictures are compressed already: level 0 copies them.
    return zlib.compressobj(level=0, wbits=-zlib.MAX_WBITS)


def _tar_header(name: str, size: int, at: datetime) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, int(at.timestamp()), 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def _tar_file(name: str, data: bytes, at: datetime) -> bytes:
    return _tar_header(name, len(data), at) + data + bytes(-len(data) % _BLOCK)
