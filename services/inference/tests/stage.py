"""The service's handlers on the in-memory platform."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from imagesystem import ids
from imagesystem.bus import Consumption
from imagesystem.events import DeadLetter, Fact, Infer, Uploaded
from imagesystem.memory import MemoryPlatform
from imagesystem.metrics import Metrics
from imagesystem.objects.memory import MemoryBucket
from imagesystem.places import Allowance
from imagesystem.topology import CONSUMERS
from imagesystem.workers import WorkerDied
from inference_service.decoding import Picture
from inference_service.examination import Examination
from inference_service.handlers import InferHandler, UploadedHandler
from inference_service.looking import Began, Limits, Told
from inference_service.measures import Measures
from inference_service.models import Result
from inference_service.recognition import Recognition
from inference_service.tasks import TASKS

from services.inference.tests.specimens import model_of, quick_models

ALL = tuple(TASKS)


def everything(looking: Generator[Told, None, Told | None]) -> Iterator[Told]:
    """Yield what is yielded, and then what is returned: all that a worker tells."""
    last = yield from looking
    if last is not None:
        yield last


class Pool:
    """Runs calls here and now; `trouble` is raised instead, once for each entry.

    A task in `deadly` kills its worker, so many times.
    """

    size, waiting = 1, 0

    def __init__(self) -> None:
        self.calls = 0
        self.tasks: list[list[str]] = []
        self.patience: list[bool] = []
        self.trouble: list[Exception] = []
        self.deadly: dict[str, int] = {}
        self.meanwhile: Callable[[], None] = lambda: None

    async def stream(
        self,
        function: Callable[..., Generator[Told, None, Told | None]],
        *args: Any,
        tell: Callable[[Told], None],
        deadline_s: float,
        called: str,
        patient: bool,
        wait_s: float,
    ) -> None:
        assert (deadline_s, wait_s) == (5, 7)
        self.calls += 1
        self.tasks.append([model.task for model in args[1]])
        self.patience.append(patient)
        if self.trouble:
            raise self.trouble.pop(0)
        for told in everything(function(*args)):
            tell(told)
            if isinstance(told, Began) and self.deadly.get(told.task, 0):
                self.deadly[told.task] -= 1
                raise WorkerDied("died")
        self.meanwhile()


class Stage:
    """The service's handlers on the in-memory platform."""

    def __init__(
        self,
        tasks: Sequence[str] = ("analysis",),
        *,
        originals: MemoryBucket | None = None,
        in_hand: Allowance | None = None,
    ) -> None:
        self.platform, self.pool, self.models = MemoryPlatform(), Pool(), quick_models()
        self.bus = self.platform.bus
        self.originals = originals or self.platform.bucket("originals")
        self.metrics, self.tasks, self.now = Metrics(), tasks, 0.0
        measures = Measures(self.metrics)
        examination = Examination(
            self.pool,  # type: ignore[arg-type]
            self.models,
            Limits(max_pixels=10_000),
            measures,
            deadline_s=5,
            wait_s=7,
            clock=lambda: self.now,
        )
        self.recognition = Recognition(
            self.bus, self.originals, examination, measures, in_hand or Allowance(1_000_000)
        )
        self.consumptions: list[Consumption] = []

    async def listen(self, *names: str) -> None:
        """Consume what the durables of these names hear, or all."""
        again = InferHandler(self.recognition)
        handlers: dict[str, InferHandler | UploadedHandler] = {
            "inference-uploaded": UploadedHandler(self.recognition, self.tasks),
            **{f"inference-{task}": again for task in TASKS},
        }
        for name in names or handlers:
            handler = handlers[name]
            self.consumptions.append(
                await self.bus.consume(CONSUMERS[name], handler.handle, gave_up=handler.gave_up)
            )

    async def stop(self) -> None:
        while self.consumptions:
            await self.consumptions.pop().stop()

    def breaks(self, task: str, error: Exception, times: int = 10_000) -> None:
        """Have the model of `task` raise `error` so many times."""
        model, left = self.models[task], [times]

        def find(picture: Picture) -> Result:
            left[0] -= 1
            if left[0] >= 0:
                raise error
            return model.run(picture, {})

        self.models.use(model_of(task, find, slow=model.slow))

    async def upload(
        self,
        data: bytes,
        *,
        keep: bool = True,
        wait: bool = True,
        size: tuple[int, int] = (40, 30),
    ) -> str:
        """Store and announce a picture; `keep`: do store it, `wait`: until it is dealt with."""
        image_id = ids.image_id(data)
        if keep:
            await self.originals.put(image_id, data)
        await self.bus.publish(
            Uploaded(
                image_id=image_id,
                filename="a.png",
                media_type="image/png",
                size_bytes=len(data),
                width=size[0],
                height=size[1],
                frames=1,
                sha256=hashlib.sha256(data).hexdigest(),
                uploaded_at=ids.now(),
            )
        )
        if wait:
            await self.bus.settle()
        return image_id

    async def again(self, image_id: str, task: str = "analysis") -> None:
        await self.bus.publish(Infer(image_id=image_id, task=task, requested_at=ids.now()))
        await self.bus.settle()

    async def facts(self, image_id: str) -> list[Fact]:
        return [r.event for r in await self.bus.facts(image_id)]

    def fact(self, image_id: str, name: str) -> Any:
        found = self.bus.log.get(f"images.v1.{image_id}.{name}")
        return found.event if found else None

    def answered(self, image_id: str) -> list[str]:
        return [task for task in TASKS if self.fact(image_id, f"inferred.{task}")]

    def letters(self) -> list[DeadLetter]:
        events = [received.event for received in self.bus.log.values()]
        return [event for event in events if isinstance(event, DeadLetter)]
