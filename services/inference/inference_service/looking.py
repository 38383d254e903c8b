"""What happens in a worker process: one decode, then task after task, each with its own verdict."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import msgspec
import numpy as np
from imagesystem.errors import ImageSystemError, Transient
from PIL import AvifImagePlugin, Image

from inference_service.decoding import Picture, decode
from inference_service.models import Findings, Model, Result
from inference_service.tasks import TASKS

__all__ = [
    "LEAST_SIDE",
    "Began",
    "Limits",
    "Told",
    "Verdict",
    "look",
    "prepare_worker",
]

#: A side long enough for every model that measures.
LEAST_SIDE = 64


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker keeps to. `poison_sha256`: the picture that kills it (fault injection).

    With `poison_task`, it dies in that task, else before anything is decoded.
    """

    max_pixels: int
    poison_sha256: str = ""
    poison_task: str = ""


class Began(msgspec.Struct, frozen=True, kw_only=True):
    """A task has begun: if nothing follows, the process died of it.

    `decoded_ms`: with the first one, how long it took to decode the picture.
    """

    task: str
    decoded_ms: float | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task: a `result`, or a `code` and a `message`; `duration_ms` of work.

    `transient`: it may work later. `fault`: the model is to blame rather than the picture.
    """

    task: str
    model: str
    version: str
    duration_ms: float
    result: Result | None = None
    code: str = ""
    message: str = ""
    transient: bool = False
    fault: bool = False


Told: TypeAlias = Began | Verdict


def prepare_worker(models: Sequence[Model]) -> None:
    """Make a worker process ready: one thread (there is a process per core), all code loaded."""
    cv2.setNumThreads(1)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    Image.init()
    blank = Picture(pixels=np.full((64, 64, 3), 255, np.uint8), width=64, height=64)
    for model in models:
        model.load()
        model.run(blank, {})


def look(
    data: bytes, models: Sequence[Model], found: Findings, limits: Limits
) -> Generator[Told, None, Verdict | None]:
    """Decode the picture once and yield each model's verdict, in that order, as it is reached.

    That of the last model is returned: each message between processes costs some of a fast task.
    `found`: what is known already, for tasks that rest on others. A task whose needs failed here
    gets no verdict. Raises `Rejected` when the picture cannot be decoded (see
    `decoding.decode`): that is the verdict on all of them.
    """
    poisoned = bool(limits.poison_sha256) and (
        hashlib.sha256(data).hexdigest() == limits.poison_sha256
    )
    if poisoned and not limits.poison_task:
        _die()
    started = time.perf_counter()
    side = max(LEAST_SIDE, *(model.side for model in models))
    picture = decode(data, max_pixels=limits.max_pixels, side=side)
    decoded_ms: float | None = _ms_since(started)
    known, failed = dict(found), set[str]()
    for model in models:
        if failed.intersection(TASKS[model.task].needs):
            continue
        yield Began(task=model.task, decoded_ms=decoded_ms)
        decoded_ms = None
        if poisoned and limits.poison_task == model.task:
            _die()
        verdict = _judge(model, picture, known)
        if verdict.result is None:
            failed.add(model.task)
        else:
            known[model.task] = verdict.result
        if model is models[-1]:
            return verdict
        yield verdict
    return None


def _judge(model: Model, picture: Picture, found: Mapping[str, Result]) -> Verdict:
    started = time.perf_counter()
    failed: _Failure | None = None
    result: Result | None = None
    try:
        result = model.run(picture.reduced(max(LEAST_SIDE, model.side)), found)
    except ImageSystemError as error:
        transient = isinstance(error, Transient)
        failed = _Failure(error.code, error.message, transient=transient, fault=transient)
    except MemoryError:
        failed = _Failure("out_of_memory", "no memory left", transient=True, fault=True)
    except Exception as error:  # noqa: BLE001  one task's fault must not take the others along
        told = f"{type(error).__name__}: {error}"
        failed = _Failure("task_failed", told, transient=False, fault=True)
    return Verdict(
        task=model.task,
        model=model.name,
        version=model.version,
        duration_ms=_ms_since(started),
        result=result,
        code=failed.code if failed else "",
        message=failed.message[:1000] if failed else "",
        transient=failed is not None and failed.transient,
        fault=failed is not None and failed.fault,
    )


@dataclass(frozen=True)
class _Failure:
    code: str
    message: str
    transient: bool
    fault: bool


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
