"""Operations that look like weather."""

from __future__ import annotations

from augmentation_service.engine.declarations import Operation

__all__ = ["OPERATIONS"]

OPERATIONS: tuple[Operation, ...] = ()
