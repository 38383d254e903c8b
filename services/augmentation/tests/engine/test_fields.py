"""Fields: pixels and labels read the same displacements, and nothing folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import REGISTRY
from augmentation_service.engine.declarations import GeometricOperation
from augmentation_service.engine.fields import Field
from augmentation_service.engine.randomness import Stream

STRONG: dict[str, dict[str, Any]] = {
    "elastic": {"strength": 200.0, "smoothness": 12.0},
    "grid_distortion": {"strength": 80.0, "cells": 7},
    "optical_distortion": {"strength": -50.0},
    "piecewise_affine": {"strength": 25.0, "cells": 6},
    "thin_plate_spline": {"strength": 40.0, "points": 5},
}
SIZES = [(640, 400), (90, 300), (33, 17), (1, 50), (1, 1)]


def field(name: str, size: tuple[int, int], seed: int = 0) -> Field:
    operation = REGISTRY[name]
    assert isinstance(operation, GeometricOperation)
    move = operation.move(size, Stream(bytes([seed])), **STRONG[name])
    assert isinstance(move, Field)
    return move


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", STRONG)
def test_pixels_come_from_where_points_say(name: str, size: tuple[int, int]) -> None:
    bent = field(name, size)
    width, height = size
    map_x, map_y = bent.maps(0, height)
    assert map_x.shape == map_y.shape == (height, width)
    rows, columns = np.mgrid[:height:3, :width:3]
    middles = np.column_stack([columns.ravel() + 0.5, rows.ravel() + 0.5])
    sources = bent.sources(middles) - 0.5
    # Between the squares of smooth fields, a small part of a pixel is given away.
    assert np.abs(map_x[rows, columns].ravel() - sources[:, 0]).max() < 0.3
    assert np.abs(map_y[rows, columns].ravel() - sources[:, 1]).max() < 0.3


@pytest.mark.parametrize("name", STRONG)
@pytest.mark.parametrize("seed", range(3))
def test_points_find_the_way_back(name: str, seed: int) -> None:
    bent = field(name, (640, 400), seed)
    points = np.random.default_rng(seed).uniform((0, 0), (640, 400), (400, 2))
    moved = bent.points(points)
    inside = ((moved >= 0) & (moved <= (640, 400))).all(axis=1)
    assert inside.any()
    assert np.abs(bent.sources(moved[inside]) - points[inside]).max() < 1e-4


@pytest.mark.parametrize("name", STRONG)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_folded(name: str, seed: int) -> None:
    map_x, map_y = field(name, (320, 200), seed).maps(0, 200)
    by_x = np.diff(map_x, axis=1)[:-1] * np.diff(map_y, axis=0)[:, :-1]
    by_y = np.diff(map_x, axis=0)[:, :-1] * np.diff(map_y, axis=1)[:-1]
    assert (by_x - by_y).min() > 0, "everywhere the same way round"


@pytest.mark.parametrize("name", STRONG)
def test_bands_of_rows_are_parts_of_the_whole(name: str) -> None:
    bent = field(name, (320, 400))
    whole = bent.maps(0, 400)
    for part, expected in zip(bent.maps(256, 400), whole, strict=True):
        assert np.abs(part - expected[256:]).max() < 1e-3
