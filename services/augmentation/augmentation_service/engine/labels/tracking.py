"""Following labels from step to step.

A box is followed as the polygon of its corners and becomes a box again only at the end: the
rectangle around a rotated rectangle, rotated once more, would grow with every step. What a step
cuts off at the edge of the canvas stays cut off, whatever later steps do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import Placement
from augmentation_service.engine.images import Size
from augmentation_service.engine.labels.given import Box, Labels, Polygon, RotatedBox, Rules
from augmentation_service.engine.labels.moved import MovedLabels
from augmentation_service.engine.labels.outlines import Dot, Given, Outline
from augmentation_service.engine.labels.polygons import Rectangle
from augmentation_service.engine.moves import Move, Points

__all__ = ["Tracker"]


class Tracker:
    """The labels of one picture on their way through a recipe; raises `BadLabels`.

    `picture`: 0, or which of several it is.
    """

    def __init__(self, labels: Labels, size: Size, *, picture: int = 0) -> None:
        self.rules: Rules = labels.rules
        self.outlines: list[Outline] = []
        kinds: tuple[Sequence[Given], ...] = (labels.boxes, labels.rotated_boxes, labels.polygons)
        for given in kinds:
            self.outlines += [
                Outline(index, one, picture, clip=labels.rules.clip)
                for index, one in enumerate(given)
            ]
        self.dots = [Dot(index, one, picture) for index, one in enumerate(labels.keypoints)]
        self._cut((0, 0, *size))

    def follow(self, move: Move) -> None:
        """Go where a step has taken the picture."""
        every: list[Outline | Dot] = [*self.outlines, *self.dots]
        if not every:
            return
        pieces = [one.points(straight=move.straight) for one in every]
        ends = np.cumsum([len(piece) for piece in pieces])[:-1]
        for one, piece in zip(
            every, np.split(move.points(np.concatenate(pieces)), ends), strict=True
        ):
            one.put(piece)
        self._cut((0, 0, *move.size))

    def hide(self, rectangles: NDArray[Any]) -> None:
        """Take sight from what rectangles (N, 4) hide; they don't overlap."""
        places = rectangles.astype(np.float64)
        self.outlines = [outline for outline in self.outlines if outline.hide(places)]
        for left, top, right, bottom in places:
            region = (float(left), float(top), float(right), float(bottom))
            for dot in self.dots:
                dot.visible &= not dot.within(region)

    def join(self, others: Sequence[Tracker], placements: Sequence[Placement]) -> None:
        """Put several pictures' labels where their pictures were put; this one's come first."""
        below: list[Tracker] = []
        for tracker, placement in zip((self, *others), placements, strict=True):
            if placement.weight == 1:
                for earlier in below:
                    earlier.hide(np.array([placement.region]))
            tracker.place(placement)
            below.append(tracker)
        for tracker in others:
            self.outlines += tracker.outlines
            self.dots += tracker.dots

    def place(self, placement: Placement) -> None:
        """Go where a picture was put; keep what lies in its region."""
        self.follow(placement.move)
        self._cut(placement.region)
        for outline in self.outlines:
            outline.weight *= placement.weight
        for dot in self.dots:
            dot.weight *= placement.weight

    def _cut(self, region: Rectangle) -> None:
        self.outlines = [outline for outline in self.outlines if outline.cut(region)]
        for dot in self.dots:
            dot.visible &= dot.within(region)

    def boxes(self) -> NDArray[np.float64]:
        """Return the boxes around everything with an area, as they are now, (N, 4)."""
        corners = [
            (*outline.polygon.min(axis=0), *outline.polygon.max(axis=0))
            for outline in self.outlines
        ]
        return np.array(corners, np.float64).reshape(-1, 4)

    def labels(self) -> MovedLabels:
        """Return where everything is now, as far as it is worth keeping."""
        return MovedLabels(
            boxes=self._told(Box, Outline.as_box),
            rotated_boxes=self._told(RotatedBox, Outline.as_rotated_box),
            polygons=self._told(Polygon, Outline.as_polygon),
            keypoints=[dot.moved() for dot in self.dots],
        )

    def _told(self, kind: type, form: Callable[[Outline, Points], Any]) -> list[Any]:
        told = []
        for outline in self.outlines:
            if isinstance(outline.given, kind):
                polygon = outline.kept(self.rules)
                if polygon is not None:
                    told.append(form(outline, polygon))
        return told
