"""Operations that hide the squares of a grid."""

from __future__ import annotations

from augmentation_service.engine.declarations import CoveringOperation, Rectangles
from augmentation_service.engine.images import Size
from augmentation_service.engine.operations.occlusion import COVER, covered
from augmentation_service.engine.parameters import Integer, Number, Toggle
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.rectangles import bars, crossed, spans

__all__ = ["OPERATIONS"]


def _holes(
    size: Size, stream: Stream, *, cells: int, share: float, moves: bool, fill: str
) -> Rectangles:
    del fill
    unit = max(2.0, max(size) / cells)
    hole = unit * share / 100
    phases = [-unit * stream.unit() if moves else -(unit - hole) / 2 - hole for _ in size]
    columns, rows = (
        spans(side, unit, hole, phase) for side, phase in zip(size, phases, strict=True)
    )
    return crossed(columns, rows)


def _bars(size: Size, stream: Stream, *, cells: int, width: float, fill: str) -> Rectangles:
    del fill
    unit = max(2.0, max(size) / cells)
    bar = unit * width / 100
    phases = [-unit * stream.unit() for _ in size]
    columns, rows = (
        spans(side, unit, bar, phase) for side, phase in zip(size, phases, strict=True)
    )
    return bars(size, columns, rows)


_CELLS = Integer(
    name="cells",
    description="how many cells the grid has along the longer side",
    unit="cells",
    least=1,
    most=32,
    default=8,
)

OPERATIONS = (
    CoveringOperation(
        name="grid_dropout",
        category="occlusion",
        description="Hides a square in each cell of a grid (Chen et al., GridMask, 2020).",
        parameters=(
            _CELLS,
            Number(
                name="share",
                description="side of the square, of that of its cell",
                unit="percent",
                least=0,
                most=100,
                default=50,
            ),
            Toggle(
                name="moves",
                description="true: the grid begins anywhere; false: each square is in the middle",
                default=True,
            ),
            COVER,
        ),
        region=_holes,
        cover=covered,
        exact=True,
        neutral={"share": 0.0},
    ),
    CoveringOperation(
        name="grid_mask",
        category="occlusion",
        description="Hides the bars of a grid that begins anywhere.",
        parameters=(
            _CELLS,
            Number(
                name="width",
                description="of the bars, of the side of a cell",
                unit="percent",
                least=0,
                most=100,
                default=25,
            ),
            COVER,
        ),
        region=_bars,
        cover=covered,
        exact=True,
        neutral={"width": 0.0},
    ),
)
