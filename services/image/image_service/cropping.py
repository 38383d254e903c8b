"""Which part of a picture a crop shows: a point of it, or what matters in it."""

from __future__ import annotations

from collections.abc import Sequence

from image_service.geometry import Box, Plan, Size

__all__ = ["Weighted", "best", "placed"]

#: A box in pixels, and how much it matters.
Weighted = tuple[Box, float]

STEPS = 200
#: How much being in the middle counts against being seen whole.
MIDDLE = 0.15


def placed(plan: Plan, source: Size, focus: tuple[float, float]) -> Plan:
    """Return the plan with its crop around a point (shares of the source), within the source."""
    left, top, right, bottom = plan.box
    width, height = right - left, bottom - top
    x = min(max(focus[0] * source[0] - width / 2, 0.0), source[0] - width)
    y = min(max(focus[1] * source[1] - height / 2, 0.0), source[1] - height)
    return Plan((x, y, x + width, y + height), plan.size, plan.canvas)


def best(plan: Plan, source: Size, subjects: Sequence[Weighted]) -> tuple[float, float]:
    """Return the point around which a crop of the plan's size shows most of what matters.

    Each axis by itself, since a crop has room along one: what counts is how much of each
    subject is seen (squared: half a face is worth a quarter), then how near the middle it is.
    """
    left, top, right, bottom = plan.box
    return (
        _along([((box[0], box[2]), weight) for box, weight in subjects], source[0], right - left),
        _along([((box[1], box[3]), weight) for box, weight in subjects], source[1], bottom - top),
    )


def _along(spans: Sequence[tuple[tuple[float, float], float]], length: int, window: float) -> float:
    """Return the middle of the best window along one axis, as a share of its length."""
    total = sum(weight for _, weight in spans)
    if not total or window >= length:
        return 0.5
    middle = sum((low + high) / 2 * weight for (low, high), weight in spans) / total

    def worth(start: float) -> float:
        seen = sum(
            weight * _share(low, high, start, start + window) ** 2 for (low, high), weight in spans
        )
        return seen / total - MIDDLE * abs(start + window / 2 - middle) / length

    room = length - window
    starts = [room * step / STEPS for step in range(STEPS + 1)]
    starts.append(min(max(middle - window / 2, 0.0), room))
    return (max(starts, key=worth) + window / 2) / length


def _share(low: float, high: float, start: float, stop: float) -> float:
    """Return how much of a span a window shows; a point is seen or not."""
    if high <= low:
        return float(start <= low <= stop)
    return max(0.0, min(high, stop) - max(low, start)) / (high - low)
