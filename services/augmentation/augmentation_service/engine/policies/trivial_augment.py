"""TrivialAugment: one operation, any strength."""

from __future__ import annotations

from collections.abc import Iterator

from augmentation_service.engine.policies.declarations import Policy, Taken
from augmentation_service.engine.policies.space import WIDE
from augmentation_service.engine.randomness import Stream

__all__ = ["TRIVIAL_AUGMENT"]

_STRENGTHS = 31


def _draw(stream: Stream) -> Iterator[Taken]:
    name = WIDE.names[stream.below(len(WIDE.names))]
    taken = WIDE.drawn(name, stream.below(_STRENGTHS) / (_STRENGTHS - 1), stream)
    if taken is not None:
        yield taken


TRIVIAL_AUGMENT = Policy(
    name="trivial_augment",
    description="Takes one operation, drawn with equal chance, of a strength drawn uniformly from "
    "a wide range.",
    paper="Müller and Hutter: TrivialAugment, ICCV 2021",
    parameters=(),
    draw=_draw,
)
