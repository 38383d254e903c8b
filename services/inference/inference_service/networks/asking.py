"""Asking networks: those of the runner over its socket, or those of this process."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from multiprocessing.connection import Client, Connection
from typing import Any, Protocol

import msgspec
import numpy as np
from imagesystem.errors import Transient
from imagesystem.models import BadModel
from numpy.typing import NDArray

from inference_service.networks.frames import Ask, Told, receive_told, send
from inference_service.networks.host import Key, Loaded
from inference_service.networks.sessions import Arrays, Signature

__all__ = ["Networks", "Remote", "remote_at"]


class Networks(Protocol):
    """Whoever has the networks: a `Host`, or a way to one."""

    def signature(self, key: Key) -> Signature:
        """Return what goes in and comes out."""
        ...

    def run(self, key: Key, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the outputs for one picture."""
        ...

    def text(self, key: Key, text: str) -> NDArray[np.float32]:
        """Return the vector of a text."""
        ...

    def words(self, key: Key) -> NDArray[np.float32]:
        """Return the vectors of a model's classes."""
        ...

    def characters(self, key: Key) -> list[str]:
        """Return the characters that a model reads, in its order."""
        ...


class Remote:
    """The networks of a runner; one question at a time.

    Everything raises `BadModel` when the model as such is no good, `Transient`: `model_failed`
    when it failed, `runner_away` when the runner is not there (it is started again).
    """

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def signature(self, key: Key) -> Signature:
        """See `Networks.signature`."""
        told, _ = self._ask(Ask(what="signature", key=key))
        assert told.signature is not None  # noqa: S101  that was asked
        return told.signature

    def run(self, key: Key, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """See `Networks.run`."""
        return self._ask(Ask(what="run", key=key), inputs)[1]

    def text(self, key: Key, text: str) -> NDArray[np.float32]:
        """See `Networks.text`."""
        return self._ask(Ask(what="text", key=key, text=text))[1]["text"]

    def words(self, key: Key) -> NDArray[np.float32]:
        """See `Networks.words`."""
        return self._ask(Ask(what="words", key=key))[1]["words"]

    def characters(self, key: Key) -> list[str]:
        """See `Networks.characters`."""
        found = self._ask(Ask(what="characters", key=key))[1]["characters"]
        return msgspec.json.decode(found.tobytes(), type=list[str])

    def loaded(self) -> tuple[Loaded, ...]:
        """Return what is loaded."""
        return self._ask(Ask(what="loaded"))[0].loaded

    def keep(self, keys: set[Key]) -> None:
        """Have everything else closed."""
        self._ask(Ask(what="keep", keys=tuple(keys)))

    def close(self) -> None:
        """Hang up; the next question connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(
        self, ask: Ask, arrays: Mapping[str, NDArray[Any]] | None = None
    ) -> tuple[Told, dict[str, NDArray[Any]]]:
        with self._lock:
            try:
                if self._connection is not None and self._connection.poll(0):
                    self.close()  # nothing was asked: what comes is its end
                if self._connection is None:
                    self._connection = Client(self._socket, family="AF_UNIX")
                send(self._connection, ask, arrays)
                told, found = receive_told(self._connection)
            except (OSError, EOFError) as error:
                self.close()
                raise Transient(
                    "the process that runs the models is away", code="runner_away"
                ) from error
        if told.error and told.bad:
            raise BadModel(told.error)
        if told.error:
            raise Transient(told.error, code="model_failed")
        return told, found


@functools.lru_cache(maxsize=2)
def remote_at(socket: str) -> Remote:
    """Return this process's way to the runner at `socket`."""
    return Remote(socket)
