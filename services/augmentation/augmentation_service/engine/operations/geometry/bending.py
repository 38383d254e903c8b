"""Operations that bend the picture: elastic, grids, lenses, splines."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import GeometricOperation
from augmentation_service.engine.fields import Field, cells_of, node_places
from augmentation_service.engine.images import Size
from augmentation_service.engine.operations.geometry.affine import TOLERANCE
from augmentation_service.engine.parameters import Integer, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.warping import BORDER, FILL, INTERPOLATION, warp_field

__all__ = ["OPERATIONS"]

#: A cubic B-spline with nodes this many deviations apart looks like a Gaussian: equal variance.
_NODES_APART = math.sqrt(3)
#: Standard deviation of splines whose nodes have deviation 1, on average over places.
_SPLINE_STD = 151 / 315
#: Smooth functions are known every so many pixels, and straight in between.
_FINE = 8.0
_SAMPLING = (INTERPOLATION, BORDER, FILL)
_NONE = np.zeros((2, 2, 2))


@cache
def _quantiles() -> NDArray[np.float64]:
    inverse = NormalDist().inv_cdf
    return np.array([inverse((i + 0.5) / 4096) for i in range(4096)])


def _normal(stream: Stream, count: int) -> NDArray[np.float64]:
    return _quantiles()[stream.belows(4096, count)]


def _elastic(
    size: Size, stream: Stream, *, strength: float, smoothness: float, **_: object
) -> Field:
    """Return smoothed noise (Simard, Steinkraus and Platt, ICDAR 2003).

    Noise at the nodes of a B-spline is Gaussian-smoothed noise, at a thousandth of the cost.
    """
    if not strength:
        return Field(size=size, nodes=_NONE)
    cells = cells_of(size, smoothness * _NODES_APART)
    shape = (2, cells[1] + 3, cells[0] + 3)
    nodes = _normal(stream, math.prod(shape)).reshape(shape) * (strength / _SPLINE_STD)
    return Field(size=size, nodes=nodes, interpolation="spline", smooth=True).unfolded()


def _grid(size: Size, stream: Stream, *, cells: int, strength: float, **_: object) -> Field:
    """Return rows and columns of random widths, each cell stretched."""
    if not strength:
        return Field(size=size, nodes=_NONE)
    x, y = (_uneven(side, cells, strength, stream) for side in size)
    nodes = np.stack(np.meshgrid(x, y)) - node_places(size, (cells, cells))
    return Field(size=size, nodes=nodes)


def _uneven(side: int, cells: int, strength: float, stream: Stream) -> NDArray[np.float64]:
    widths = 1 + (stream.units(cells) * 2 - 1) * strength / 100
    edges: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(widths)])
    spread: NDArray[np.float64] = edges * (side / float(edges[-1]))
    return spread


def _lens(size: Size, stream: Stream, *, strength: float, **_: object) -> Field:
    """Return the radial distortion of a lens (Brown, Photogrammetric Engineering 1966).

    At the corners, `strength` percent of their distance from the middle.
    """
    del stream
    if not strength:
        return Field(size=size, nodes=_NONE)
    places = node_places(size, cells_of(size, _FINE))
    middle = np.array(size).reshape(2, 1, 1) / 2
    ray = places - middle
    radius = (ray**2).sum(axis=0) / (middle**2).sum()
    return Field(size=size, nodes=ray * (radius * (-strength / 100)), smooth=True)


def _pieces(size: Size, stream: Stream, *, cells: int, strength: float, **_: object) -> Field:
    """Return a mesh of triangles whose corners are moved, those on the edges along them."""
    if not strength:
        return Field(size=size, nodes=_NONE)
    return Field(size=size, nodes=_jitter(size, stream, cells, strength), interpolation="triangles")


def _jitter(size: Size, stream: Stream, cells: int, strength: float) -> NDArray[np.float64]:
    shape = (2, cells + 1, cells + 1)
    moved = stream.units(math.prod(shape)).reshape(shape) * 2 - 1
    moved *= np.array(size).reshape(2, 1, 1) * (strength / 100 / cells)
    moved[0, :, [0, -1]] = 0
    moved[1, [0, -1], :] = 0
    return moved


def _plate(size: Size, stream: Stream, *, points: int, strength: float, **_: object) -> Field:
    """Return a thin-plate spline through a grid of points that are moved (Bookstein, PAMI 1989)."""
    if not strength:
        return Field(size=size, nodes=_NONE)
    cells = points - 1
    scale = float(max(size))
    anchors = node_places(size, (cells, cells)).reshape(2, -1).T / scale
    shift = stream.units(anchors.size).reshape(-1, 2) * 2 - 1
    shift *= np.array(size) * (strength / 100 / cells)
    count = len(anchors)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _bending(anchors, anchors)
    system[:count, count:] = np.column_stack([np.ones(count), anchors])
    system[count:, :count] = system[:count, count:].T
    # A little give, so that anchors on one line (pictures one pixel wide) have an answer.
    system[np.arange(count), np.arange(count)] += 1e-9
    values = np.concatenate([shift, np.zeros((3, 2))])
    weights = np.linalg.lstsq(system, values, rcond=None)[0]
    grid = cells_of(size, _FINE)
    places = node_places(size, grid).reshape(2, -1).T / scale
    basis = np.column_stack([_bending(places, anchors), np.ones(len(places)), places])
    nodes = (basis @ weights).T.reshape(2, grid[1] + 1, grid[0] + 1)
    return Field(size=size, nodes=nodes, smooth=True).unfolded()


def _bending(points: NDArray[np.float64], anchors: NDArray[np.float64]) -> NDArray[np.float64]:
    square = ((points[:, None] - anchors) ** 2).sum(axis=2)
    return np.where(square > 0, square * np.log(np.maximum(square, 1e-300)) / 2, 0.0)


def _strength(description: str, unit: str, most: float) -> Number:
    return Number(name="strength", description=description, unit=unit, least=0, most=most)


OPERATIONS = (
    GeometricOperation(
        name="elastic",
        category="geometry",
        description="Bends the picture like rubber, as far as it does not fold "
        "(Simard et al., Best practices for convolutional neural networks, 2003).",
        parameters=(
            _strength("standard deviation of how far points move", "pixels", 200),
            Number(
                name="smoothness",
                description="over which distance neighbours move together: the deviation of the "
                "Gaussian that smooths the noise",
                unit="pixels",
                least=3,
                most=500,
                default=40,
            ),
            *_SAMPLING,
        ),
        move=_elastic,
        warp=warp_field,
        exact=False,
        tolerance=TOLERANCE,
        neutral={"strength": 0.0},
        example={"strength": 3.0, "smoothness": 12.0},
        cost="medium",
    ),
    GeometricOperation(
        name="grid_distortion",
        category="geometry",
        description="Stretches the rows and columns of a grid, each by itself.",
        parameters=(
            Integer(
                name="cells",
                description="rows, and columns, of the grid",
                unit="cells",
                least=1,
                most=50,
                default=5,
            ),
            _strength("how much wider or narrower they get, at most", "percent", 80),
            *_SAMPLING,
        ),
        move=_grid,
        warp=warp_field,
        exact=False,
        tolerance=TOLERANCE,
        neutral={"strength": 0.0},
        example={"strength": 60.0},
        cost="medium",
    ),
    GeometricOperation(
        name="optical_distortion",
        category="geometry",
        description="Bends straight lines outwards or inwards, as lenses do.",
        parameters=(
            Number(
                name="strength",
                description="how far the corners come from further inside, which makes a cushion; "
                "negative: from further outside, a barrel",
                unit="percent of their distance from the middle",
                least=-50,
                most=25,
            ),
            *_SAMPLING,
        ),
        move=_lens,
        warp=warp_field,
        exact=False,
        tolerance=TOLERANCE,
        neutral={"strength": 0.0},
        example={"strength": -30.0},
        cost="medium",
    ),
    GeometricOperation(
        name="piecewise_affine",
        category="geometry",
        description="Moves the corners of a mesh of triangles, and what is between them along.",
        parameters=(
            Integer(
                name="cells",
                description="rows, and columns, of the mesh",
                unit="cells",
                least=1,
                most=50,
                default=4,
            ),
            _strength("how far corners move, at most", "percent of a cell", 25),
            *_SAMPLING,
        ),
        move=_pieces,
        warp=warp_field,
        exact=False,
        tolerance=TOLERANCE,
        neutral={"strength": 0.0},
        example={"strength": 20.0},
        cost="medium",
    ),
    GeometricOperation(
        name="thin_plate_spline",
        category="geometry",
        description="Moves the points of a grid, and bends what is between them as a thin sheet "
        "of metal would (Bookstein, Principal warps, 1989).",
        parameters=(
            Integer(
                name="points",
                description="rows, and columns, of points",
                unit="points",
                least=2,
                most=8,
                default=3,
            ),
            _strength("how far points move, at most", "percent of their distance", 40),
            *_SAMPLING,
        ),
        move=_plate,
        warp=warp_field,
        exact=False,
        tolerance=TOLERANCE,
        neutral={"strength": 0.0},
        example={"strength": 25.0},
        cost="medium",
    ),
)
