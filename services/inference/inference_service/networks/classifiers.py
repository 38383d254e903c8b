"""What classifiers say of the whole picture, and what it resembles of a list of words."""

from __future__ import annotations

import numpy as np
from imagesystem.events import Label
from imagesystem.models import BadModel
from numpy.typing import NDArray

from inference_service.networks.detectors import Outputs

__all__ = ["compared", "recognised"]

#: Labels less sure than this are not told, nor more than so many.
LEAST, MOST = 0.1, 10
#: CLIP's own: what cosines are multiplied with before they are compared.
SHARPNESS = 100.0


def recognised(outputs: Outputs, names: tuple[str, ...], activation: str, by: str) -> list[Label]:
    """Return a classifier's labels, surest first.

    Raises `BadModel` when it does not say one number for each of `names`.
    """
    wide = [output for output in outputs.values() if output[0].size == len(names)]
    if not wide:
        told = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
        raise BadModel(f"{by} says {told}, and {len(names)} names are given")
    scores = _sure(np.asarray(wide[0][0], np.float64).ravel(), activation)
    return _labels(scores, names, by)


def compared(
    vector: NDArray[np.float32], words: NDArray[np.float32], names: tuple[str, ...], by: str
) -> list[Label]:
    """Return which of `names` a picture resembles; `vector` (d,), `words` (n, d), of length 1."""
    return _labels(_softmax(SHARPNESS * (words @ vector).astype(np.float64)), names, by)


def _labels(scores: NDArray[np.float64], names: tuple[str, ...], by: str) -> list[Label]:
    best = np.argsort(-scores, kind="stable")[:MOST]
    return [
        Label(
            name=names[index],
            confidence=round(float(scores[index]), 4),
            source="recognised",
            evidence={"model": by},
        )
        for index in best
        if scores[index] >= LEAST
    ]


def _sure(scores: NDArray[np.float64], activation: str) -> NDArray[np.float64]:
    """Return scores as 0-1; `auto`: what is a distribution already stays one."""
    if activation == "auto":
        there = scores.min() >= 0 and abs(scores.sum() - 1) < 1e-2
        activation = "none" if there else "softmax"
    if activation == "softmax":
        return _softmax(scores)
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-np.clip(scores, -50, 50))))
    return np.clip(scores, 0, 1)


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())
