"""AutoAugment: the policy that was learned on ImageNet, as published."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from augmentation_service.engine.policies.declarations import Policy, Taken
from augmentation_service.engine.policies.space import NARROW
from augmentation_service.engine.randomness import Stream

__all__ = ["AUTO_AUGMENT", "IMAGENET"]

#: An operation, its probability, its magnitude: 0 to 9, of no meaning for some.
_Part: TypeAlias = tuple[str, float, int]

#: Table 9 of the paper: 25 sub-policies, one of which is taken for each picture.
IMAGENET: tuple[tuple[_Part, _Part], ...] = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)


def _draw(stream: Stream) -> Iterator[Taken]:
    for name, probability, magnitude in IMAGENET[stream.below(len(IMAGENET))]:
        if stream.unit() < probability:
            taken = NARROW.drawn(name, magnitude / 9, stream)
            if taken is not None:
                yield taken


AUTO_AUGMENT = Policy(
    name="auto_augment_imagenet",
    description="Takes one of 25 pairs of operations that were learned on ImageNet.",
    paper="Cubuk, Zoph, Mané, Vasudevan and Le: AutoAugment, CVPR 2019",
    parameters=(),
    draw=_draw,
)
