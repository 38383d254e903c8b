from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from augmentation_service.engine import (
    REGISTRY,
    BadReceipt,
    Box,
    Labels,
    Receipt,
    Source,
    apply,
    parse,
    replay,
    sealed,
)

IMAGE = np.random.default_rng(5).integers(0, 256, (40, 60, 3), dtype=np.uint8)
LABELS = Labels(boxes=[Box(x_min=20, y_min=10, x_max=35, y_max=25)])
OTHERS = [Source(image=IMAGE[::-1, :30], source=f"other {n}") for n in range(4)]
RECIPE: list[Any] = [
    {"operation": "rotate", "parameters": {"angle": [-20, 20]}, "probability": 0.7},
    {
        "some_of": [
            {"operation": "elastic", "parameters": {"strength": [1, 3], "smoothness": 10}},
            {"operation": "flip", "parameters": {"axis": "y"}},
            {"operation": "brightness", "parameters": {"amount": [-30, 30]}},
        ],
        "count": [1, 3],
    },
    {"operation": "box_safe_crop"},
    {"one_of": [{"operation": "darken", "parameters": {"amount": [10, 50]}},
                {"operation": "gaussian_noise", "parameters": {"std": [1, 20]}}]},
]  # fmt: skip


def receipt_of(variant: int) -> Receipt:
    made = apply(parse(RECIPE), IMAGE, seed=3, source="x", variant=variant, labels=LABELS)
    sent = msgspec.json.encode(sealed(made.receipt, made.image))
    return msgspec.json.decode(sent, type=Receipt)


@pytest.mark.parametrize("variant", range(12))
def test_a_receipt_that_came_back_makes_the_same_picture(variant: int) -> None:
    receipt = receipt_of(variant)
    picture, exact, difference = replay(receipt, IMAGE, labels=LABELS)
    assert exact
    assert picture.shape == (receipt.height, receipt.width, 3)
    assert difference.pixels is False
    assert not difference.operations
    assert not difference.platform


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_operation_replays(name: str) -> None:
    recipe = parse([{"operation": name, "parameters": dict(REGISTRY[name].example)}])
    made = apply(recipe, IMAGE, seed=3, source="x", labels=LABELS, others=OTHERS)
    receipt = sealed(made.receipt, made.image)
    assert replay(receipt, IMAGE, labels=LABELS, others=OTHERS[::-1]).exact


def test_another_source_is_not_exact() -> None:
    _, exact, difference = replay(receipt_of(0), IMAGE[::-1], labels=LABELS)
    assert not exact
    assert difference.pixels is True


def test_what_differs_is_said() -> None:
    receipt = receipt_of(1)
    steps = [msgspec.structs.replace(taken, version=99) for taken in receipt.steps]
    platform = {**receipt.platform, "opencv": "3.0"}
    old = msgspec.structs.replace(receipt, engine="0", steps=steps, platform=platform, width=1)
    difference = replay(old, IMAGE, labels=LABELS).difference
    assert difference.engine == "0"
    assert difference.operations[receipt.steps[0].operation] == (99, 1)
    assert difference.platform["opencv"][0] == "3.0"
    assert difference.size == (1, receipt.height, 3)


def test_a_receipt_without_a_digest_cannot_be_exact() -> None:
    unsealed = msgspec.structs.replace(receipt_of(2), pixels=None)
    _, exact, difference = replay(unsealed, IMAGE, labels=LABELS)
    assert not exact
    assert difference.pixels is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"operation": "spin"}, "no operation"),
        ({"parameters": {"angle": 5.0}}, r"steps\[0\].parameters"),
        (
            {
                "parameters": {
                    "angle": 1e9,
                    "canvas": "keep",
                    "interpolation": "linear",
                    "border": "fill",
                    "fill": "#000000",
                }
            },
            "-360 to 360",
        ),
    ],
)
def test_receipts_that_were_tampered_with_are_refused(change: dict[str, Any], says: str) -> None:
    receipt = next(r for r in map(receipt_of, range(20)) if r.steps[0].applied)
    first = msgspec.structs.replace(receipt.steps[0], **change)
    broken = msgspec.structs.replace(receipt, steps=[first, *receipt.steps[1:]])
    with pytest.raises(BadReceipt, match=says):
        replay(broken, IMAGE, labels=LABELS)
