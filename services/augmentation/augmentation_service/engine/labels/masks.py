"""Masks: pictures of class or instance numbers, moved as the picture is, never mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import GeometricOperation, Placement
from augmentation_service.engine.errors import BadLabels
from augmentation_service.engine.images import Size
from augmentation_service.engine.moves import Affine, Move
from augmentation_service.engine.warping import warp_matrix

__all__ = ["Mask", "check_masks", "join_masks", "move_masks"]

#: uint8 or uint16 (H, W), as large as the picture; 0 is background.
Mask: TypeAlias = NDArray[Any]
_NEAREST = {"interpolation": "nearest", "fill": "#00000000"}


def check_masks(masks: Sequence[Mask], size: Size) -> tuple[Mask, ...]:
    """Return the masks if they fit a picture; raises `BadLabels`."""
    for index, mask in enumerate(masks):
        if mask.dtype not in (np.uint8, np.uint16) or mask.shape != (size[1], size[0]):
            raise BadLabels(
                f"masks[{index}]: a mask is a uint8 or uint16 array {(size[1], size[0])}, "
                f"this is {mask.dtype} {mask.shape}"
            )
    return tuple(np.ascontiguousarray(mask) for mask in masks)


def move_masks(
    masks: Sequence[Mask], operation: GeometricOperation, move: Move, values: Mapping[str, Any]
) -> tuple[Mask, ...]:
    """Return the masks where a step has taken the picture: nearest pixels, 0 beyond its edge."""
    if not masks:
        return ()
    nearest = {name: _NEAREST.get(name, value) for name, value in values.items()}
    return tuple(operation.warp(mask[..., None], move, **nearest)[..., 0] for mask in masks)


def join_masks(
    several: Sequence[Sequence[Mask]], placements: Sequence[Placement]
) -> tuple[Mask, ...]:
    """Return the masks of several pictures as one; where pictures are blended, the heavier's."""
    joined: list[Mask] = []
    for index, first in enumerate(several[0]):
        width, height = placements[0].move.size
        canvas = np.zeros((height, width), first.dtype)
        for masks, placement in zip(several, placements, strict=True):
            if placement.weight < 0.5 or not isinstance(placement.move, Affine):
                continue
            left, top, right, bottom = (round(side) for side in placement.region)
            part = canvas[top:bottom, left:right]
            part[:] = 0
            if index < len(masks):
                mask = masks[index].astype(first.dtype)[..., None]
                moved = warp_matrix(mask, placement.move, border="fill", **_NEAREST)
                part[:] = moved[top:bottom, left:right, 0]
        joined.append(canvas)
    return tuple(joined)
