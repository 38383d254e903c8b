"""Which model answers which task, as the folder says: looked at every second, by every replica."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import msgspec
from imagesystem import logs
from imagesystem.errors import ImageSystemError, Transient
from imagesystem.models import BadModel, ModelSpec, Shelf
from imagesystem.models.specs import NETWORKS

from inference_service.models import BUILT_IN, Model, Models
from inference_service.networks.asking import Remote
from inference_service.networks.host import Key
from inference_service.networks.network import Network, check_answer, model_of
from inference_service.networks.running import Runner

__all__ = ["Selection"]

log = logs.get(__name__)

#: Seconds between looks at the folder, and until what could not be used is tried again.
LOOK_S, AGAIN_S = 1.0, 30.0


class Selection:
    """Has the chosen models answer; what cannot be used is told, and changes nothing.

    A model answers once it is loaded and has looked at a blank picture; until then, and if it
    cannot, whatever answered before goes on. A context manager.
    """

    def __init__(self, models: Models, shelf: Shelf, runner: Runner) -> None:
        self._models = models
        self._shelf = shelf
        self._runner = runner
        self._state: tuple[object, ...] | None = None
        self._following: asyncio.Task[None] | None = None
        self._problem = ""
        #: Why the chosen model of a task does not answer it.
        self.problems: dict[str, str] = {}
        #: The name of the chosen model, by task.
        self.chosen: Mapping[str, str] = {}

    async def __aenter__(self) -> Selection:
        if self._runner.limits.provider != "cpu":
            await self._runner.start()  # readiness shall know whether the device is there
        await self.look()
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following

    def trouble(self, task: str) -> str | None:
        """Return why the chosen model does not answer, if so; a check of `Health`."""
        return self.problems.get(task) or self._problem or None

    async def look(self, *, again: bool = False) -> None:
        """Do what the folder says, if that changed or is to be tried `again`."""
        state = await asyncio.to_thread(self._shelf.state)
        if state == self._state and not (again and self.problems):
            return
        self._state = state
        try:
            self.chosen = await asyncio.to_thread(self._shelf.in_use)
        except BadModel as error:
            self._problem = error.message
            log.warning("models_unreadable", error=error.message)
            return
        self._problem = ""
        self.problems = {
            task: problem
            for task in {*BUILT_IN, *self.chosen}
            if (problem := await self._select(task, self.chosen.get(task)))
        }
        with suppress(Transient):  # it is away, and then nothing is loaded
            await self._runner.keep(self._keys())

    async def _follow(self) -> None:
        last = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(LOOK_S)
            now = asyncio.get_running_loop().time()
            again = now - last >= AGAIN_S
            last = now if again else last
            try:
                await self.look(again=again)
            except Exception:  # the folder is looked at again; a service does not end for it
                log.exception("models_failed")
                self._state = None  # whatever it was at, it did not come to its end

    async def _select(self, task: str, name: str | None) -> str:
        """Have the chosen model answer a task; returns why it does not."""
        if task not in BUILT_IN:
            return f"there is no task {task!r}"
        if name is None:
            self._use(BUILT_IN[task])
            return ""
        try:
            spec = await asyncio.to_thread(self._shelf.model, name)
            now = self._models[task].run
            if not isinstance(now, Network) or now.spec != spec:
                await self._runner.start()
                if self._runner.trouble is not None:
                    return self._runner.trouble
                self._use(await asyncio.to_thread(self._tried, task, spec))
        except ImageSystemError as error:
            log.warning("model_unusable", task=task, model=name, error=error.message)
            answers = self._models[task]
            own = isinstance(answers.run, Network) and answers.run.spec.name == name
            who = "what was loaded of it" if own else answers.name
            return f"{name} cannot be used, {who} answers: {error.message}"
        return ""

    def _tried(self, task: str, spec: ModelSpec) -> Model:
        remote = Remote(self._runner.socket)
        try:
            model = model_of(task, spec, remote, self._runner.socket)
            check_answer(model, remote)
        finally:
            remote.close()
        return model

    def _use(self, model: Model) -> None:
        before = self._models[model.task]
        if (before.name, before.version) != (model.name, model.version):
            log.info("model_in_use", task=model.task, model=model.name, version=model.version)
            self._models.use(model)

    def _keys(self) -> set[Key]:
        networks = [self._models[task].run for task in BUILT_IN]
        keys = {network.key for network in networks if isinstance(network, Network)}
        return {msgspec.structs.replace(key, role=role) for key in keys for role in NETWORKS}
