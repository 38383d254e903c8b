"""The frame into which tasks plug: one decode per picture, then every task with its own verdict.

A task is a row of `TASKS`: a function of the decoded picture, the longest side it wants, and
the name and version of the model that it is honest about. `analyse` runs in a worker process.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import cv2
import msgspec
import numpy as np
from imagesystem.errors import ImageSystemError, Transient
from imagesystem.events import Analysis
from PIL import AvifImagePlugin, Image

from inference_service.analysis import SCALE, analyse_picture
from inference_service.decoding import Picture, decode

__all__ = ["TASKS", "Limits", "Outcome", "Result", "Task", "Verdict", "analyse", "prepare_worker"]

#: The result structs of all tasks.
Result: TypeAlias = Analysis


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A question that can be asked of any picture.

    `run` gets the picture with its longest side at most `side` pixels and returns the `result`
    of the task's `inferred` fact. `version` changes when the same picture may get another answer.
    """

    name: str
    run: Callable[[Picture], Result]
    model: str
    version: str
    side: int
    description: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker keeps to. `poison_sha256`: the picture that kills it (fault injection)."""

    max_pixels: int
    poison_sha256: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task: a `result`, or a `code` and a `message`; `duration_ms` of work.

    `transient`: it may work later.
    """

    task: str
    duration_ms: float
    result: Result | None = None
    code: str = ""
    message: str = ""
    transient: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts of the tasks asked for, in that order, and how long the decode took."""

    verdicts: tuple[Verdict, ...]
    decode_ms: float


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="analysis",
            run=analyse_picture,
            model="classical-measurements",
            version="1",
            side=SCALE,
            description="colours, light, texture, composition, kind and hashes",
        ),
    )
}


def prepare_worker() -> None:
    """Make a worker process ready: one thread (there is a process per core), all code loaded."""
    cv2.setNumThreads(1)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    Image.init()
    blank = Picture(pixels=np.full((64, 64, 3), 255, np.uint8), width=64, height=64)
    for task in TASKS.values():
        task.run(blank)


def analyse(data: bytes, tasks: Sequence[str], limits: Limits) -> Outcome:
    """Decode the picture once and run `tasks` on it.

    Raises `Rejected` when the picture cannot be decoded (see `decoding.decode`): that is the
    verdict on all of them. Runs in a worker process.
    """
    if limits.poison_sha256 and hashlib.sha256(data).hexdigest() == limits.poison_sha256:
        os.kill(os.getpid(), signal.SIGKILL)
    asked = [TASKS[name] for name in tasks]
    started = time.perf_counter()
    picture = decode(data, max_pixels=limits.max_pixels, side=max(task.side for task in asked))
    decode_ms = _ms_since(started)
    verdicts = tuple(_judge(task, picture) for task in asked)
    return Outcome(verdicts=verdicts, decode_ms=decode_ms)


def _judge(task: Task, picture: Picture) -> Verdict:
    started = time.perf_counter()
    try:
        result = task.run(picture.reduced(task.side))
    except ImageSystemError as error:
        return _failed(task, started, error.code, error.message, isinstance(error, Transient))
    except MemoryError:
        return _failed(task, started, "out_of_memory", "no memory left", True)
    except Exception as error:  # noqa: BLE001  one task's fault must not take the others along
        return _failed(task, started, "task_failed", f"{type(error).__name__}: {error}", False)
    return Verdict(task=task.name, duration_ms=_ms_since(started), result=result)


def _failed(task: Task, started: float, code: str, message: str, transient: bool) -> Verdict:
    return Verdict(
        task=task.name,
        duration_ms=_ms_since(started),
        code=code,
        message=message[:1000],
        transient=transient,
    )


def _ms_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
