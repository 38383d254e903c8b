"""What the environment may set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
from imagesystem.settings import ServiceSettings
from imagesystem.topology import CONSUMERS
from imagesystem.workers import usable_cores, usable_memory

from inference_service.looking import Limits
from inference_service.networks.batching import BatchLimits
from inference_service.networks.host import HostLimits
from inference_service.networks.sessions import Provider
from inference_service.tasks import TASKS, in_order

__all__ = ["Settings"]

#: What a worker needs with no large picture in hand, and with the networks that read text.
PLAIN_WORKER_BYTES = 150 * 1024**2
WORKER_BYTES = {"text": 550 * 1024**2}
_TASK_LIST = "(" + "|".join(TASKS) + ")"


#: Pictures that a model looks at together (ADR 0042: on a CPU each costs more in a batch).
BATCH_MAX: dict[Provider, int] = {"cpu": 1, "cuda": 8}


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """The settings of the inference service."""

    workers: Annotated[
        int,
        msgspec.Meta(
            ge=0, le=256, description="worker processes; 0: one per core, if memory allows"
        ),
    ] = 0
    niceness: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=19,
            description="how far the processes that look at pictures yield the cores to others",
        ),
    ] = 19
    max_pixels: Annotated[
        int, msgspec.Meta(ge=1, description="pixels of the largest picture that is decoded")
    ] = 100_000_000
    decoding_bytes: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            description="bytes of uploaded pictures in hand at a time, as files and as pixels; a "
            "larger one is looked at alone",
        ),
    ] = 512 * 1024**2
    max_upload_bytes: Annotated[
        int, msgspec.Meta(ge=1, description="bytes of the largest file that may be sent here")
    ] = 50 * 1024 * 1024
    deadline_s: Annotated[
        float, msgspec.Meta(gt=0, le=110, description="seconds that one picture may take a worker")
    ] = 30.0
    tasks: Annotated[
        str,
        msgspec.Meta(
            pattern=f"^{_TASK_LIST}(,{_TASK_LIST})*$",
            description="tasks run on every upload, comma-separated",
        ),
    ] = ",".join(TASKS)
    models_dir: Annotated[
        str,
        msgspec.Meta(
            description="folder of models that were pulled or added; empty: what comes with the "
            "service answers everything"
        ),
    ] = ""
    provider: Annotated[
        Provider, msgspec.Meta(description="what runs models of MODELS_DIR: nothing else is taken")
    ] = "cpu"
    batch_max: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=64,
            description="pictures that a model looks at together; 0: eight on cuda, one on a cpu, "
            "where more gain nothing",
        ),
    ] = 0
    batch_wait_ms: Annotated[
        float,
        msgspec.Meta(
            ge=0, le=1000, description="milliseconds that the first of them waits for others"
        ),
    ] = 2.0
    model_idle_s: Annotated[
        float,
        msgspec.Meta(
            ge=0, description="seconds without a picture after which a model is unloaded; 0: never"
        ),
    ] = 900.0
    poison_sha256: Annotated[
        str,
        msgspec.Meta(
            pattern="^([0-9a-f]{64})?$",
            description="fault injection: the picture with this digest kills its worker process",
        ),
    ] = ""

    poison_task: Annotated[
        str,
        msgspec.Meta(
            pattern=f"^{_TASK_LIST}?$",
            description="fault injection: the task in which it does; empty: before it is decoded",
        ),
    ] = ""

    @property
    def planned_tasks(self) -> tuple[str, ...]:
        """The tasks run on every upload, in the order in which they are run."""
        return tuple(in_order(set(self.tasks.split(","))))

    @property
    def worker_count(self) -> int:
        """How many worker processes to start: by default one per core, if memory allows."""
        each = max(WORKER_BYTES.get(task, PLAIN_WORKER_BYTES) for task in self.planned_tasks)
        return self.workers or max(1, min(usable_cores(), usable_memory() // each))

    @property
    def wait_s(self) -> float:
        """Seconds for which an uploaded picture waits for a worker before it is put back.

        With the time that it may take one they fit into what its handler has.
        """
        return max(5.0, CONSUMERS["inference-uploaded"].deadline_s - self.deadline_s - 10.0)

    @property
    def models_folder(self) -> Path:
        """Where models lie; without a folder, one where none ever does."""
        return Path(self.models_dir or os.devnull)

    @property
    def networks(self) -> HostLimits:
        """What the process that runs models keeps to."""
        return HostLimits(
            provider=self.provider,
            threads=usable_cores(),
            batch=BatchLimits(
                most=self.batch_max or BATCH_MAX[self.provider], wait_s=self.batch_wait_ms / 1000
            ),
            idle_s=self.model_idle_s,
        )

    @property
    def limits(self) -> Limits:
        """What a worker keeps to."""
        return Limits(
            max_pixels=self.max_pixels,
            poison_sha256=self.poison_sha256,
            poison_task=self.poison_task,
        )
