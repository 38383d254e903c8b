"""What is said between processes about networks: a head in MessagePack, then arrays as they lie.

No pickle: whoever looks at untrusted pixels must not be able to make another process run code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from inference_service.networks.host import Key, Loaded
from inference_service.networks.sessions import Signature

__all__ = ["Ask", "Told", "receive_ask", "receive_told", "send"]

#: No array that a network is fed or says is larger.
MOST_BYTES = 512 * 1024 * 1024
TYPES = {"float32", "float16", "float64", "int64", "int32", "uint8"}


class _Array(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: str
    shape: tuple[int, ...]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked.

    To `run` a network on the arrays that follow, what goes in and out (`signature`), the vectors
    of its classes (`words`) or of a `text`, the `characters` that it reads, what is `loaded`; or to
    close all but those to `keep`.
    """

    what: Literal["run", "signature", "words", "text", "characters", "loaded", "keep"]
    key: Key | None = None
    text: str = ""
    keys: tuple[Key, ...] = ()
    arrays: tuple[_Array, ...] = ()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The answer; `error` is what went wrong, `bad`: with the model as such."""

    error: str = ""
    bad: bool = False
    signature: Signature | None = None
    loaded: tuple[Loaded, ...] = ()
    arrays: tuple[_Array, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_ask, _told = msgspec.msgpack.Decoder(Ask), msgspec.msgpack.Decoder(Told)


def send(
    connection: Connection, head: Ask | Told, arrays: Mapping[str, NDArray[Any]] | None = None
) -> None:
    """Send a head and its arrays."""
    whole = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    described = tuple(
        _Array(name=name, type=str(array.dtype), shape=array.shape) for name, array in whole.items()
    )
    connection.send_bytes(_encoder.encode(msgspec.structs.replace(head, arrays=described)))
    for array in whole.values():
        connection.send_bytes(array.data.cast("B") if array.size else b"")


def receive_ask(connection: Connection) -> tuple[Ask, dict[str, NDArray[Any]]]:
    """Return what is asked; raises `EOFError` when the other side is gone, `ValueError`."""
    head = _ask.decode(connection.recv_bytes())
    return head, _arrays(connection, head.arrays)


def receive_told(connection: Connection) -> tuple[Told, dict[str, NDArray[Any]]]:
    """Return the answer; raises `EOFError` when the other side is gone."""
    head = _told.decode(connection.recv_bytes())
    return head, _arrays(connection, head.arrays)


def _arrays(connection: Connection, described: tuple[_Array, ...]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for item in described:
        if item.type not in TYPES or min(item.shape, default=0) < 0:
            raise ValueError(f"no array of ours: {item}")
        size = math.prod(item.shape) * np.dtype(item.type).itemsize
        if size > MOST_BYTES:
            raise ValueError(f"{item.name} has {size} bytes, more than {MOST_BYTES}")
        body = connection.recv_bytes(size)
        found[item.name] = np.frombuffer(body, item.type).reshape(item.shape)
    return found
