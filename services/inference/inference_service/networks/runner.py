"""The process that the networks live in: one session each, asked by all workers over a socket.

Started by `inference_service.networks.running`; ends when its standard input does, so that it
never outlives the service.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from imagesystem.models import BadModel, Shelf
from numpy.typing import NDArray

from inference_service.networks.frames import Ask, Told, receive_ask, send
from inference_service.networks.host import Host, HostLimits
from inference_service.networks.sessions import require_provider

__all__ = ["READY", "Order", "serve"]

#: What the process says when it listens; anything else is what is wrong.
READY = "ready"
#: Seconds between looks at what is idle.
LOOK_S = 5.0


_Arrays: TypeAlias = dict[str, NDArray[Any]]
_Answer: TypeAlias = tuple[Told, _Arrays]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is told as its one argument, in JSON."""

    folder: str
    socket: str
    limits: HostLimits
    niceness: int = 0


def serve(host: Host, listener: Listener) -> None:
    """Answer everybody who connects, each in a thread of its own, until the process ends."""
    while True:
        try:
            connection = listener.accept()
        except OSError:
            return
        threading.Thread(target=_converse, args=(host, connection), daemon=True).start()


def _converse(host: Host, connection: Connection) -> None:
    try:
        while True:
            ask, arrays = receive_ask(connection)
            told, found = _answered(host, ask, arrays)
            send(connection, told, found)
    except (EOFError, OSError, ValueError, msgspec.MsgspecError):
        connection.close()  # it left, was killed, or talks nonsense


def _answered(host: Host, ask: Ask, arrays: _Arrays) -> _Answer:
    try:
        return _ANSWERS[ask.what](host, ask, arrays)
    except BadModel as error:
        return Told(error=error.message, bad=True), {}
    except Exception as error:  # noqa: BLE001  whoever asked is told
        return Told(error=f"{type(error).__name__}: {error}"[:1000]), {}


def _run(host: Host, ask: Ask, arrays: _Arrays) -> _Answer:
    assert ask.key is not None  # noqa: S101
    return Told(), host.run(ask.key, arrays)


def _signature(host: Host, ask: Ask, _: _Arrays) -> _Answer:
    assert ask.key is not None  # noqa: S101
    return Told(signature=host.signature(ask.key)), {}


def _words(host: Host, ask: Ask, _: _Arrays) -> _Answer:
    assert ask.key is not None  # noqa: S101
    return Told(), {"words": host.words(ask.key)}


def _text(host: Host, ask: Ask, _: _Arrays) -> _Answer:
    assert ask.key is not None  # noqa: S101
    return Told(), {"text": host.text(ask.key, ask.text)}


def _characters(host: Host, ask: Ask, _: _Arrays) -> _Answer:
    assert ask.key is not None  # noqa: S101
    told = msgspec.json.encode(host.characters(ask.key))
    return Told(), {"characters": np.frombuffer(told, np.uint8)}


def _loaded(host: Host, _ask: Ask, _: _Arrays) -> _Answer:
    return Told(loaded=tuple(host.loaded())), {}


def _keep(host: Host, ask: Ask, _: _Arrays) -> _Answer:
    host.keep(set(ask.keys))
    return Told(), {}


_ANSWERS: dict[str, Callable[[Host, Ask, _Arrays], _Answer]] = {
    "run": _run,
    "signature": _signature,
    "words": _words,
    "text": _text,
    "characters": _characters,
    "loaded": _loaded,
    "keep": _keep,
}


def _close_idle(host: Host, stopped: threading.Event) -> None:
    while not stopped.wait(LOOK_S):
        host.close_idle()


def main() -> None:
    """Serve until standard input ends."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(order.niceness)
    try:
        require_provider(order.limits.provider)
    except BadModel as error:
        print(error.message, flush=True)  # noqa: T201  the service reads it
        return
    host = Host(Shelf(Path(order.folder)), order.limits)
    stopped = threading.Event()
    listener = Listener(order.socket, family="AF_UNIX", backlog=64)
    threading.Thread(target=serve, args=(host, listener), daemon=True).start()
    threading.Thread(target=_close_idle, args=(host, stopped), daemon=True).start()
    print(READY, flush=True)  # noqa: T201
    while sys.stdin.read(1):
        pass
    stopped.set()
    # the service, if it was killed, cannot do it
    shutil.rmtree(Path(order.socket).parent, ignore_errors=True)
    # what runs in threads is nobody's any more
    os._exit(0)


if __name__ == "__main__":
    main()
