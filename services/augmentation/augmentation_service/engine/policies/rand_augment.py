"""RandAugment: a few operations, drawn with equal chance, all of one strength."""

from __future__ import annotations

from collections.abc import Iterator

from augmentation_service.engine.parameters import Integer, Number
from augmentation_service.engine.policies.declarations import Policy, Taken
from augmentation_service.engine.policies.space import NARROW
from augmentation_service.engine.randomness import Stream

__all__ = ["RAND_AUGMENT"]


def _draw(stream: Stream, *, count: int, magnitude: float) -> Iterator[Taken]:
    for _ in range(count):
        name = NARROW.names[stream.below(len(NARROW.names))]
        taken = NARROW.drawn(name, magnitude / 30, stream)
        if taken is not None:
            yield taken


RAND_AUGMENT = Policy(
    name="rand_augment",
    description="Takes a few operations, drawn with equal chance, all of one strength.",
    paper="Cubuk, Zoph, Shlens and Le: RandAugment, NeurIPS 2020",
    parameters=(
        Integer(
            name="count",
            description="how many operations are taken",
            unit="operations",
            least=1,
            most=8,
            default=2,
        ),
        Number(
            name="magnitude",
            description="how strong they are",
            unit="thirtieths of the most",
            least=0,
            most=30,
            default=9,
        ),
    ),
    draw=_draw,
)
