"""All parts together: started in the order of their dependencies, stopped in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from local_stack.errors import StackError
from local_stack.keeper import Keeper
from local_stack.logstream import LogStream
from local_stack.parts import Part
from local_stack.state import PartState

__all__ = ["Supervisor"]


class Supervisor:
    """Keeps `parts` running. `changed` is called whenever the state of one of them changes."""

    def __init__(
        self,
        parts: Sequence[Part],
        stream: LogStream,
        changed: Callable[[], None],
        socket: int | None = None,
    ) -> None:
        self._keepers = {part.name: Keeper(part, stream, changed, socket) for part in parts}
        self._stream = stream
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def states(self) -> list[PartState]:
        """The state of every part."""
        return [keeper.state for keeper in self._keepers.values()]

    def keeper(self, name: str) -> Keeper:
        """Return the keeper of the part `name`; KeyError if there is none."""
        return self._keepers[name]

    async def start(self, timeout_s: float) -> None:
        """Start everything and wait until all parts are ready.

        Raises `StackError` when a part cannot be started or is not ready after `timeout_s`.
        """
        for name, keeper in self._keepers.items():
            dependencies = [self._keepers[other] for other in keeper.part.depends_on]
            self._tasks[name] = asyncio.create_task(keeper.keep(dependencies), name=name)
        ready = asyncio.ensure_future(self.wait_ready())
        try:
            await asyncio.wait(
                {ready, *self._tasks.values()},
                timeout=timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._raise_failures()
            if not ready.done():
                raise self._too_slow(timeout_s)
        finally:
            ready.cancel()

    async def wait_ready(self, names: Iterable[str] = ()) -> None:
        """Wait until the parts `names` (none given: all) are ready."""
        wanted = tuple(names) or tuple(self._keepers)
        await asyncio.gather(*(self._keepers[name].ready.wait() for name in wanted))

    async def watch(self) -> None:
        """Wait for ever; raises what ends the care for a part (`StackError`, or a defect)."""
        await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        self._raise_failures()

    async def stop(self) -> None:
        """Stop every part once those that depend on it are gone."""
        users: dict[str, list[str]] = {name: [] for name in self._keepers}
        for name, keeper in self._keepers.items():
            for other in keeper.part.depends_on:
                users[other].append(name)
        stopping: dict[str, asyncio.Task[None]] = {}

        async def stop_one(name: str) -> None:
            await asyncio.gather(*(stopping[user] for user in users[name]))
            await self._keepers[name].wish("leave")
            if name in self._tasks:
                await asyncio.wait({self._tasks[name]})

        for name in self._keepers:
            stopping[name] = asyncio.create_task(stop_one(name))
        await asyncio.gather(*stopping.values())

    def abort(self) -> None:
        """Kill everything that runs, now."""
        for keeper in self._keepers.values():
            keeper.kill()

    def _raise_failures(self) -> None:
        for task in self._tasks.values():
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    def _too_slow(self, timeout_s: float) -> StackError:
        late = next(
            keeper
            for keeper in self._keepers.values()
            if not keeper.ready.is_set() and keeper.state.status != "waiting"
        )
        return StackError(
            f"{late.part.name} is not ready after {timeout_s:g} s "
            f"({late.state.detail or late.state.status}); its log: "
            f"{self._stream.path(late.part.name)}"
        )
