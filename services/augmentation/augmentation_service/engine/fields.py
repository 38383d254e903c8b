"""Moves that bend: a displacement for every point, given at the nodes of a coarse grid.

A field says for each point of the result where in the source it comes from, relative to it. It is
known at nodes `cell` pixels apart and interpolated between them, for pixels and for labels by the
same formula. The way back, which labels need, is found by Newton's method.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, TypeAlias

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.images import Size
from augmentation_service.engine.moves import Points

__all__ = ["Field", "Interpolation", "cells_of", "node_places"]

#: Between nodes: in each cell bilinear; in each half of a cell a plane; cubic B-spline.
Interpolation: TypeAlias = Literal["bilinear", "triangles", "spline"]
_STEPS = 30
_CLOSE = 1e-5
#: Pixels to either side between which slopes are measured.
_ASIDE = 1e-3
#: Of displacements that change by less than a pixel per pixel, nothing is folded.
_STEEPEST = 0.8
#: Between so many nodes, computing each pixel costs no more than anything else.
_FEW_NODES = 24


def cells_of(size: Size, spacing: float) -> tuple[int, int]:
    """Return into how many cells, across and down, nodes at most `spacing` apart divide it."""
    return max(1, math.ceil(size[0] / spacing)), max(1, math.ceil(size[1] / spacing))


def node_places(size: Size, cells: tuple[int, int]) -> NDArray[np.float64]:
    """Return where the nodes lie: (2, down + 1, across + 1), x then y, edge to edge."""
    x = np.linspace(0, size[0], cells[0] + 1)
    y = np.linspace(0, size[1], cells[1] + 1)
    return np.stack(np.meshgrid(x, y))


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """The result's point p comes from p + d(p) in the source; both have the same size.

    `nodes`: float64 (2, rows, columns), displacements in x and y in pixels, at least two by two;
    from edge to edge, for `spline` with one more node beyond each edge. `smooth`: it has no
    edges between its cells.
    """

    size: Size
    nodes: NDArray[np.float64]
    interpolation: Interpolation = "bilinear"
    smooth: bool = False
    straight: ClassVar[bool] = False

    def sources(self, points: Points) -> Points:
        """Return where the result's points come from."""
        moved: Points = points + self._displacements(np.clip(points, 0, self.size))
        return moved

    def points(self, points: Points) -> Points:
        """See `Move.points`; outside of the canvas the nearest edge's displacement counts."""
        found = points.astype(np.float64)
        found -= self._displacements(np.clip(found, 0, self.size))
        left = np.arange(len(points))
        for _ in range(_STEPS):
            there = self.sources(found[left])
            missed = there - points[left]
            far = np.abs(missed).max(axis=1) >= _CLOSE
            if not far.any():
                break
            left, there, missed = left[far], there[far], missed[far]
            # The derivatives by differences; a cell's edge makes them no less useful.
            by_x, by_y = (
                (self.sources(found[left] + aside) - there) / _ASIDE for aside in _ASIDE * np.eye(2)
            )
            determinant = by_x[:, 0] * by_y[:, 1] - by_x[:, 1] * by_y[:, 0]
            determinant = np.where(np.abs(determinant) < 0.05, 0.05, determinant)
            found[left, 0] -= (by_y[:, 1] * missed[:, 0] - by_y[:, 0] * missed[:, 1]) / determinant
            found[left, 1] -= (by_x[:, 0] * missed[:, 1] - by_x[:, 1] * missed[:, 0]) / determinant
        return found

    def unfolded(self) -> Field:
        """Return the field made weaker, as a whole, until it folds nothing."""
        steepest = self._steepest()
        if steepest <= _STEEPEST:
            return self
        return msgspec.structs.replace(self, nodes=self.nodes * (_STEEPEST / steepest))

    def _steepest(self) -> float:
        """Return by how many pixels displacements change at most for a pixel's step."""
        _, rows, columns = self.nodes.shape
        weights, slopes = [], []
        for side, nodes in zip(self.size, (columns, rows), strict=True):
            places = (np.arange(4 * nodes, dtype=np.float64) + 0.5) * (side / (4 * nodes))
            weights.append(self._weights(places, side, nodes))
            after = self._weights(places + _ASIDE, side, nodes)
            slopes.append((after - self._weights(places - _ASIDE, side, nodes)) / (2 * _ASIDE))
        by_x = weights[1] @ self.nodes @ slopes[0].T
        by_y = slopes[1] @ self.nodes @ weights[0].T
        return float((np.abs(by_x) + np.abs(by_y)).max())

    def maps(self, top: int, bottom: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return where pixels come from, as column and row in the source: (bottom - top, width).

        For the rows from `top`, a multiple of 8, to `bottom`.
        """
        width = self.size[0]
        step = self._step()
        if step > 1:
            map_x, map_y = self._sampled(step, top, bottom)
        else:
            rows = np.arange(top, bottom, dtype=np.float64) + 0.5
            map_x, map_y = self._at(np.arange(width, dtype=np.float64) + 0.5, rows)
        map_x += np.arange(width, dtype=np.float32)
        map_y += np.arange(top, bottom, dtype=np.float32)[:, None]
        return map_x, map_y

    def _step(self) -> int:
        """Return how many pixels apart displacements need to be known: straight in between.

        8, 4 or 2 pixels for smooth fields of many nodes, 1 for others.
        """
        beyond = 3 if self.interpolation == "spline" else 1
        rows, columns = (count - beyond for count in self.nodes.shape[1:])
        if not self.smooth or max(rows, columns) <= _FEW_NODES:
            return 1
        cell = min(self.size[0] / columns, self.size[1] / rows)
        room = cell / 6 if self.interpolation == "spline" else cell / 3
        # Powers of two, so that bands of rows begin where squares do.
        return next((step for step in (8, 4, 2) if step <= room), 1)

    def _sampled(
        self, step: int, top: int, bottom: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return displacements known at the middles of squares, straight in between."""
        width, height = self.size[0], bottom - top
        # OpenCV's resize keeps the middles of pixels; a margin of one square all around.
        x, y = (
            (np.arange(side // step + 3, dtype=np.float64) - 0.5) * step for side in (width, height)
        )
        whole = (len(x) * step, len(y) * step)
        map_x, map_y = (
            cv2.resize(plane, whole, interpolation=cv2.INTER_LINEAR)[
                step : step + height, step : step + width
            ].astype(np.float32, copy=False)
            for plane in self._at(x, y + top)
        )
        return map_x, map_y

    def _at(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return displacements at every crossing of columns and rows, in x and in y."""
        width, height = self.size
        columns = self._weights(x, width, self.nodes.shape[2]).astype(np.float32)
        rows = self._weights(y, height, self.nodes.shape[1]).astype(np.float32)
        across = np.ascontiguousarray(columns.T)
        in_x, in_y = (rows @ (plane.astype(np.float32) @ across) for plane in self.nodes)
        if self.interpolation == "triangles":
            i, u = self._cell(x, width, self.nodes.shape[2])
            j, v = self._cell(y, height, self.nodes.shape[1])
            u, down = u.astype(np.float32), v.astype(np.float32)[:, None]
            bend = np.maximum(0, u + down - 1) - u * down
            twist_x, twist_y = self._twists().astype(np.float32)
            in_x += bend * twist_x[j][:, i]
            in_y += bend * twist_y[j][:, i]
        return in_x, in_y

    def _displacements(self, points: Points) -> Points:
        _, rows, columns = self.nodes.shape
        i, u = self._cell(points[:, 0], self.size[0], columns)
        j, v = self._cell(points[:, 1], self.size[1], rows)
        across, down = self._parts(u), self._parts(v)
        found = np.zeros((2, len(points)))
        for below, part in enumerate(down):
            for aside, share in enumerate(across):
                found += self.nodes[:, j + below, i + aside] * (part * share)
        if self.interpolation == "triangles":
            found += (np.maximum(0, u + v - 1) - u * v) * self._twists()[:, j, i]
        return found.T

    def _cell(
        self, places: NDArray[np.float64], side: int, nodes: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return in which cell places lie, and how far in it, 0 to 1."""
        beyond = 2 if self.interpolation == "spline" else 0
        cells = nodes - 1 - beyond
        scaled = places * (cells / side)
        cell = np.clip(scaled.astype(np.intp), 0, cells - 1)
        return cell, scaled - cell

    def _parts(self, t: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return how much the nodes around a cell count at a share `t` of its width."""
        if self.interpolation != "spline":
            return 1 - t, t
        return (
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        )

    def _weights(self, places: NDArray[np.float64], side: int, nodes: int) -> NDArray[np.float64]:
        """Return how much each node counts at places along one axis: (N, nodes)."""
        cell, t = self._cell(places, side, nodes)
        weights = np.zeros((len(places), nodes))
        every = np.arange(len(places))
        for offset, part in enumerate(self._parts(t)):
            weights[every, cell + offset] = part
        return weights

    def _twists(self) -> NDArray[np.float64]:
        """Return what makes each cell no plane: (2, rows - 1, columns - 1)."""
        n = self.nodes
        twists: NDArray[np.float64] = n[:, 1:, 1:] - n[:, 1:, :-1] - n[:, :-1, 1:] + n[:, :-1, :-1]
        return twists
