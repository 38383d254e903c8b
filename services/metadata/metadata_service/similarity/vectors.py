"""Vectors: which can be compared, and how they come and go."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
import numpy as np
from imagesystem.events import EmbeddingInferred
from numpy.typing import NDArray

__all__ = [
    "MAX_DIMENSIONS",
    "Floats",
    "Space",
    "Vector",
    "fits",
    "unit",
    "units",
    "vector_in",
    "vector_of",
]

#: float32 (d,), of length 1.
Vector: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[np.floating[Any]]
MAX_DIMENSIONS = 4096


class Space(msgspec.Struct, frozen=True, order=True):
    """Where vectors can be compared: one model, one version of it, one number of dimensions."""

    model: str
    model_version: str
    dimensions: int


def unit(values: Floats) -> Vector | None:
    """Return the vector scaled to length 1; None for what has no direction (0, NaN, infinite)."""
    vector = np.asarray(values, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0.0:
        return None
    return (vector / length).astype(np.float32)


def units(values: Floats) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return vectors (n, d) scaled to length 1, and which of them have a direction; see `unit`."""
    wide = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        good = np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)
        return (wide / lengths).astype(np.float32), good


def fits(raw: bytes, dimensions: int) -> bool:
    """Say whether bytes are as many as a vector of that size in float32 has."""
    return 0 < dimensions <= MAX_DIMENSIONS and len(raw) == 4 * dimensions


def vector_in(raw: bytes, dimensions: int) -> Vector | None:
    """Return the vector in little-endian float32; None for what is not one of that size."""
    return unit(np.frombuffer(raw, dtype="<f4")) if fits(raw, dimensions) else None


def vector_of(fact: EmbeddingInferred) -> tuple[Space, Vector] | None:
    """Return where the fact says the picture lies; None for what is not a vector of that size."""
    dimensions = fact.result.dimensions
    vector = vector_in(fact.result.vector, dimensions)
    space = Space(fact.model, fact.model_version, dimensions)
    return None if vector is None else (space, vector)
