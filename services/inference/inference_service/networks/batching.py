"""Micro-batching: what is asked of one network by many is done together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from inference_service.networks.sessions import Arrays

__all__ = ["BatchLimits", "Batching", "Tally"]


class BatchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`most` pictures at once; the first waits at most `wait_s` seconds for others."""

    most: int
    wait_s: float


class Tally(msgspec.Struct, kw_only=True):
    """What was done: `pictures` in `batches`, in `busy_s` seconds of work."""

    pictures: int = 0
    batches: int = 0
    busy_s: float = 0.0


class _Item:
    """One picture's inputs, and what becomes of them."""

    def __init__(self, inputs: Arrays) -> None:
        self.inputs = inputs
        self.outputs: dict[str, NDArray[Any]] | None = None
        self.error: Exception | None = None
        self.done = threading.Event()

    @property
    def form(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What can be done together has the same."""
        return tuple((name, array.shape[1:]) for name, array in sorted(self.inputs.items()))


class Batching:
    """Does what is asked of a network, in a thread of its own, several at once if it is `free`.

    Nobody waits for a batch to become full while the network is idle for longer than `wait_s`;
    what comes while it works is the next batch. How much waits is bounded by who asks: everybody
    waits for their own answer.
    """

    def __init__(
        self,
        run: Callable[[Arrays], dict[str, NDArray[Any]]],
        limits: BatchLimits,
        *,
        free: bool,
    ) -> None:
        self._run = run
        self._limits = limits
        self._free = free and limits.most > 1
        self._waiting: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._left: _Item | None = None
        self.tally = Tally()
        self._thread = threading.Thread(target=self._work, name="batching", daemon=True)
        self._thread.start()

    def answer(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the outputs for one picture; raises what the network raises for it."""
        item = _Item(inputs)
        self._waiting.put(item)
        item.done.wait()
        if item.error is not None:
            raise item.error
        assert item.outputs is not None  # noqa: S101  done without an error
        return item.outputs

    def stop(self) -> None:
        """Finish what waits, and end."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._left or self._waiting.get()) is not None:
            self._left = None
            items = [first, *self._more(first)] if self._free else [first]
            self._do(items)

    def _more(self, first: _Item) -> list[_Item]:
        """Return what can be done together with the first; what cannot is the next one's first."""
        more: list[_Item] = []
        until = time.monotonic() + self._limits.wait_s
        while len(more) + 1 < self._limits.most:
            try:
                item = self._waiting.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if item is None:
                self._waiting.put(None)
                break
            if item.form != first.form:
                self._left = item
                break
            more.append(item)
        return more

    def _do(self, items: list[_Item]) -> None:
        started = time.perf_counter()
        try:
            self._together(items)
        except Exception as error:  # noqa: BLE001  whoever asked is told
            if len(items) == 1:
                items[0].error = error
            else:  # one of them is to blame, the others are not
                for item in items:
                    self._do([item])
                return
        self.tally.pictures += len(items)
        self.tally.batches += 1
        self.tally.busy_s += time.perf_counter() - started
        for item in items:
            item.done.set()

    def _together(self, items: list[_Item]) -> None:
        if len(items) == 1:
            items[0].outputs = self._run(items[0].inputs)
            return
        names = items[0].inputs.keys()
        inputs = {name: np.concatenate([item.inputs[name] for item in items]) for name in names}
        outputs = self._run(inputs)
        if any(output.shape[:1] != (len(items),) for output in outputs.values()):
            # its inputs take several pictures, its outputs do not tell them apart
            self._free = False
            for item in items:
                item.outputs = self._run(item.inputs)
            return
        for number, item in enumerate(items):
            item.outputs = {name: output[number : number + 1] for name, output in outputs.items()}
