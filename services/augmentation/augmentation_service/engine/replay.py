"""Making a variant again from its receipt, and saying whether it is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from augmentation_service.engine.errors import BadReceipt
from augmentation_service.engine.images import Image, pixel_digest
from augmentation_service.engine.labels import Labels
from augmentation_service.engine.parameters import Unfit
from augmentation_service.engine.pipeline import Scenery, Source, carried_out
from augmentation_service.engine.randomness import MAX_SEED, Randomness
from augmentation_service.engine.receipts import ENGINE, Receipt, StepTaken, fingerprint
from augmentation_service.engine.recipes import Drawn
from augmentation_service.engine.registry import REGISTRY

__all__ = ["Difference", "Replayed", "replay"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What is not as the receipt says; empty, or None, where it is.

    `platform`: by its part, what the receipt has and what is here (may make inexact operations
    differ). `operations`: of other versions than here. `engine`: the receipt's, if another.
    `size`: the receipt's width, height and channels, if they are others. `pixels`: True if they
    are known to differ, None if the receipt has no digest of them.
    """

    engine: str | None = None
    operations: dict[str, tuple[int, int]] = {}
    platform: dict[str, tuple[str, str]] = {}
    size: tuple[int, int, int] | None = None
    pixels: bool | None = None


class Replayed(NamedTuple):
    """The picture, whether its pixels are those of the receipt, and what differs."""

    image: Image
    exact: bool
    difference: Difference


def replay(
    receipt: Receipt,
    image: Image,
    *,
    labels: Labels | None = None,
    others: Sequence[Source] = (),
    max_pixels: int | None = None,
) -> Replayed:
    """Make a variant again: the same steps with the same parameters on the same source.

    `labels` are needed if a step looked at boxes, `others` if it mixed pictures. Whether `image`
    is the source is for the caller to know: the receipt has the digest of its file. `exact` is
    only true if the receipt has a digest of pixels, and it is equal. Raises `BadReceipt`, and what
    `apply` raises.
    """
    if not 0 <= receipt.seed <= MAX_SEED or not 0 <= receipt.variant <= MAX_SEED:
        raise BadReceipt("its seed or variant is out of range")
    steps = [_drawn(place, taken) for place, taken in enumerate(receipt.steps)]
    randomness = Randomness(receipt.seed, receipt.source, receipt.variant)
    scenery = Scenery(labels=labels, others=others, max_pixels=max_pixels)
    made = carried_out(steps, image, randomness, scenery)
    exact = receipt.pixels is not None and receipt.pixels == pixel_digest(made.image)
    return Replayed(made.image, exact, _difference(receipt, made.receipt, exact))


def _drawn(place: int, taken: StepTaken) -> Drawn:
    path = f"steps[{place}]"
    if taken.operation not in REGISTRY:
        raise BadReceipt(f"{path}: there is no operation {taken.operation[:64]!r}")
    if not taken.applied:
        return Drawn(path=taken.step, operation=taken.operation, applied=False)
    parameters = {one.name: one for one in REGISTRY[taken.operation].parameters}
    if set(parameters) != set(taken.parameters):
        raise BadReceipt(f"{path}.parameters: {taken.operation} has {', '.join(parameters)}")
    try:
        values = {name: parameters[name].check(value) for name, value in taken.parameters.items()}
    except Unfit as unfit:
        raise BadReceipt(
            f"{path}.parameters: {unfit.actual} does not fit: {unfit.allowed}"
        ) from unfit
    return Drawn(
        path=taken.step, operation=taken.operation, values=values, others=tuple(taken.others)
    )


def _difference(then: Receipt, now: Receipt, exact: bool) -> Difference:
    size_then = (then.width, then.height, then.channels)
    size_now = (now.width, now.height, now.channels)
    here = fingerprint()
    return Difference(
        engine=None if then.engine == ENGINE else then.engine,
        operations={
            taken.operation: (taken.version, REGISTRY[taken.operation].version)
            for taken in then.steps
            if taken.version != REGISTRY[taken.operation].version
        },
        platform={
            part: (then.platform[part], here[part])
            for part in here
            if part in then.platform and then.platform[part] != here[part]
        },
        size=None if size_then == size_now else size_then,
        pixels=None if then.pixels is None else not exact,
    )
