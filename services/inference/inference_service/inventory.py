"""Which models there are, where they run, and how fast they are."""

from __future__ import annotations

import msgspec
from imagesystem.errors import Transient

from inference_service.measures import Measures, Pace
from inference_service.models import Model, Models
from inference_service.networks.host import Loaded
from inference_service.networks.network import Network
from inference_service.networks.running import Runner
from inference_service.networks.selection import Selection

__all__ = ["Inventory", "Standing"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the model of a task does.

    `device`: what it runs on; `loaded`: whether it is in memory, of which `memory_bytes` are its
    own (None: it runs in the worker processes); `pace`: pictures and their time, of the last
    minute; `batch`: pictures it looked at together, on average; `chosen`: the model that should
    answer, and `problem`: why it does not.
    """

    device: str
    loaded: bool
    memory_bytes: int | None
    pace: Pace
    batch: float | None = None
    chosen: str | None = None
    problem: str | None = None


class Inventory:
    """What there is to say about the models in use."""

    def __init__(
        self, models: Models, selection: Selection, runner: Runner, measures: Measures
    ) -> None:
        self._models = models
        self._selection = selection
        self._runner = runner
        self._measures = measures

    async def take(self, tasks: list[str]) -> dict[str, Standing]:
        """Return how the model of each task does."""
        try:
            loaded = await self._runner.loaded()
        except Transient:
            loaded = ()  # it is away: nothing is loaded
        return {task: self._standing(self._models[task], loaded) for task in tasks}

    def _standing(self, model: Model, loaded: tuple[Loaded, ...]) -> Standing:
        task = model.task
        pace = self._measures.pace(task)
        chosen, problem = self._selection.chosen.get(task), self._selection.trouble(task)
        if not isinstance(model.run, Network):
            return Standing(
                device="cpu",
                loaded=True,
                memory_bytes=None,
                pace=pace,
                chosen=chosen,
                problem=problem,
            )
        name = model.run.spec.name
        own = [item for item in loaded if item.key.model == name]
        looking = [item.tally for item in own if item.key.role == "image"]
        batches = sum(tally.batches for tally in looking)
        return Standing(
            device=self._runner.limits.provider,
            loaded=bool(own),
            memory_bytes=sum(item.memory_bytes for item in own),
            pace=pace,
            batch=round(sum(tally.pictures for tally in looking) / batches, 2) if batches else None,
            chosen=chosen,
            problem=problem,
        )
