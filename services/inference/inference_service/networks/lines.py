"""Networks that read lines of text, in the place of the shipped ones."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from imagesystem.models import BadModel, ModelSpec
from numpy.typing import NDArray

from inference_service.networks.asking import Networks, remote_at
from inference_service.networks.host import Key
from inference_service.networks.sessions import Signature

if TYPE_CHECKING:  # worker processes alone load the libraries of the shipped networks
    from inference_service.text.engine import Ask, Engine

__all__ = ["check", "engine_by", "kept_engine"]

#: Pixels that a line is high, for networks that take any.
LINE_HEIGHT = 48


def engine_by(key: Key, spec: ModelSpec, signature: Signature, networks: Networks) -> Engine:
    """Return what reads text with a model: its recogniser, and its detector if it has one.

    Without, lines are found by the detector that is shipped. Raises `BadModel`, `Transient`.
    """
    # see TYPE_CHECKING
    from inference_service.text.engine import Engine, shipped_detector  # noqa: PLC0415

    detect = shipped_detector()
    if spec.file("detector") is not None:
        own = msgspec.structs.replace(key, role="detector")
        detect = _asked(own, networks.signature(own), networks)
    return Engine(
        detect,
        _asked(key, signature, networks),
        networks.characters(key),
        signature.picture.shape[2] or LINE_HEIGHT,
    )


def check(key: Key, spec: ModelSpec, signature: Signature, networks: Networks) -> None:
    """Have a model look at an empty line, and an empty picture; raises `BadModel` if it cannot.

    Without the libraries of the shipped networks, of which whoever chooses models has no need.
    """
    high = signature.picture.shape[2] or LINE_HEIGHT
    told = _asked(key, signature, networks)(np.zeros((1, 3, high, 320), np.float32))
    characters = networks.characters(key)
    if told.ndim != 3 or told.shape[::2] != (1, len(characters) + 2):
        raise BadModel(
            f"{spec.name} says {told.shape}; with {len(characters)} characters that would be "
            f"(1, steps, {len(characters) + 2})"
        )
    if spec.file("detector") is not None:
        own = msgspec.structs.replace(key, role="detector")
        told = _asked(own, networks.signature(own), networks)(np.zeros((1, 3, 64, 96), np.float32))
        if told.shape != (1, 1, 64, 96):
            raise BadModel(
                f"{spec.name}: its detector says {told.shape} of 64 x 96 pixels, not (1, 1, 64, 96)"
            )


@functools.lru_cache(maxsize=2)
def kept_engine(socket: str, key: Key, spec: ModelSpec, signature: Signature) -> Engine:
    """Return the same by the runner at `socket`, made once in each worker process."""
    return engine_by(key, spec, signature, remote_at(socket))


def _asked(key: Key, signature: Signature, networks: Networks) -> Ask:
    port = signature.picture
    if len(signature.inputs) != 1 or len(signature.outputs) != 1:
        raise BadModel(f"{key.model} ({key.role}) has not one input and one output, as PP-OCR has")
    (output,) = signature.outputs

    def asked(given: NDArray[np.float32]) -> NDArray[np.float32]:
        told = networks.run(key, {port.name: given.astype(port.type, copy=False)})
        return np.asarray(told[output.name], np.float32)

    return asked
