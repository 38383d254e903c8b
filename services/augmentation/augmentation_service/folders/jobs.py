"""What is asked of a run, and what one worker process is asked to do of it.

A variant is two files, each written whole or not at all: the picture, and then its record, which
says that the picture is there. What is left of a run that was killed is either both, or is made
again: from the same key come the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from imagesystem.errors import Rejected

from augmentation_service.datasets import Annotation, Given
from augmentation_service.engine import Receipt, Recipe, Rules
from augmentation_service.pictures import FORMATS, decode
from augmentation_service.rendering import Job, Other, annotations_of, render

__all__ = ["Outcome", "Record", "Share", "as_json", "make", "record_of", "written"]


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """Some variants of one picture: all that a worker needs to know.

    `name` is its path in the folder; `others`: names of pictures to mix in, the first `mixes` that
    can be read.
    """

    folder: str
    out: str
    name: str
    key: str
    first: int
    last: int
    recipe: Recipe
    seed: int
    format: str
    quality: int | None
    max_pixels: int
    rules: Rules
    given: Given | None
    mixes: int
    others: list[list[str]] = []
    others_given: dict[str, Given] = {}


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a variant: its files, its source, its receipt, its objects."""

    file: str
    source: str
    variant: int
    media_type: str
    width: int
    height: int
    channels: int
    size_bytes: int
    sha256: str
    receipt: Receipt
    annotations: list[Annotation] = []


class Outcome(msgspec.Struct, kw_only=True):
    """What became of a share: variants `made` now and `kept` from before; or a problem."""

    name: str
    made: int = 0
    kept: int = 0
    problem: str | None = None


def make(share: Share) -> Outcome:
    """Make the variants of a share that are not there; raises nothing about the picture."""
    outcome = Outcome(name=share.name)
    try:
        data = (Path(share.folder) / share.name).read_bytes()
        source = hashlib.sha256(data).hexdigest()
        for variant in range(share.first, share.last):
            if _is_there(share, variant, source):
                outcome.kept += 1
            else:
                _make(share, data, source, variant)
                outcome.made += 1
    except Rejected as error:
        outcome.problem = f"{error.code}: {error.message}"
    except OSError as error:
        if error.errno is not None and error.filename != str(Path(share.folder) / share.name):
            raise  # the disk is full, or OUT cannot be written: no fault of this picture
        outcome.problem = f"unreadable: {error.strerror}"
    return outcome


def _is_there(share: Share, variant: int, source: str) -> bool:
    record = record_of(Path(share.out), share.key, variant)
    if record is None or record.receipt.source != source:
        return False
    picture = Path(share.out) / record.file
    return picture.is_file() and picture.stat().st_size == record.size_bytes


def _make(share: Share, data: bytes, source: str, variant: int) -> None:
    job = Job(
        recipe=share.recipe,
        seed=share.seed,
        source=source,
        variant=variant,
        format=share.format,
        quality=share.quality,
        max_pixels=share.max_pixels,
        given=share.given,
        rules=share.rules,
        others=tuple(_others(share, variant)),
    )
    made = render(data, job)
    form, out = FORMATS[share.format], Path(share.out)
    extension = form.media_type.removeprefix("image/").replace("jpeg", "jpg")
    record = Record(
        file=f"images/{share.key}-{variant}.{extension}",
        source=share.name,
        variant=variant,
        media_type=made.media_type,
        width=made.receipt.width,
        height=made.receipt.height,
        channels=made.receipt.channels,
        size_bytes=len(made.data),
        sha256=hashlib.sha256(made.data).hexdigest(),
        receipt=made.receipt,
        annotations=annotations_of(made, job),
    )
    written(out / record.file, made.data)
    written(_record_path(out, share.key, variant), msgspec.json.encode(record))


def _others(share: Share, variant: int) -> Iterator[Other]:
    found = 0
    for name in share.others[variant - share.first] if share.others else ():
        if found == share.mixes:
            return
        data = _readable(Path(share.folder) / name, share.max_pixels)
        if data is not None:
            found += 1
            source = hashlib.sha256(data).hexdigest()
            yield Other(data=data, source=source, given=share.others_given.get(name))


def _readable(path: Path, max_pixels: int) -> bytes | None:
    try:
        data = path.read_bytes()
        decode(data, max_pixels)
    except (OSError, Rejected):
        return None
    return data


def record_of(out: Path, key: str, variant: int) -> Record | None:
    """Return the record of a variant, None if there is none that can be read."""
    try:
        data = _record_path(out, key, variant).read_bytes()
        return msgspec.json.decode(data, type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def _record_path(out: Path, key: str, variant: int) -> Path:
    return out / "records" / f"{key}-{variant}.json"


def written(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def as_json(values: Any) -> bytes:
    """Return values as JSON to be read by people."""
    return msgspec.json.format(msgspec.json.encode(values)) + b"\n"
