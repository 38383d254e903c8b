"""The same seed, source and variant: the same picture, in any order, in any process."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import msgspec
import numpy as np
import pytest
from augmentation_service.engine import (
    Receipt,
    apply,
    fingerprint,
    parse,
    pixel_digest,
    sealed,
)
from augmentation_service.engine.randomness import Randomness, Stream

RECIPE: list[dict[str, Any]] = [
    {"operation": "rotate", "parameters": {"angle": {"min": -20, "max": 20}}, "probability": 0.8},
    {"operation": "flip", "parameters": {"axis": {"choices": ["x", "y"]}}, "probability": 0.5},
    {"operation": "brightness", "parameters": {"amount": {"min": -30, "max": 30}}},
    {"operation": "gaussian_noise", "parameters": {"std": {"min": 1, "max": 20}}},
    {"operation": "gaussian_blur", "parameters": {"sigma": {"min": 0.2, "max": 2}}},
]

#: Pixels of the exact operations, the same on every machine: see `test_exact_operations`.
DIGESTS = {
    "flip": "6f439a23103fcc134a44bc7fcf7bb305c90ab9d59d8d765bf76da1a286901e25",
    "brightness": "5b37fadf2da3a9d25809fd685787ca958882eb2902bbed3afa4bd1c20f46ebac",
    "gaussian_noise": "f373293f33a5caacc1227f8a49c9ab26ba9944a898c2cadda0adad0dbd4467b1",
    "gaussian_noise grey": "0bc8d94b2f47476366a0d7da18bd63d137dc3ebd7ed07d739c293aff225088b3",
    "gaussian_blur": "fb496ff19ee1d6a89ebf517924fc6dedc83935540af04338c18b1f3dda39f84e",
    "gaussian_blur alpha": "1f6fca2b0d622254d0b4f90286c7c6239b8515cdea80f8f7db0a2c284bdcd8ad",
    "rotate right angle": "b4b5bf5c6bd4986ffa50b8ef7e2edcaada798f7bccbc517f58b1aa600e985ef4",
}
EXACT: dict[str, tuple[str, dict[str, Any], int]] = {
    "flip": ("flip", {"axis": "y"}, 3),
    "brightness": ("brightness", {"amount": 12.5}, 3),
    "gaussian_noise": ("gaussian_noise", {"std": 17.3}, 3),
    "gaussian_noise grey": ("gaussian_noise", {"std": 250, "per_channel": False}, 4),
    "gaussian_blur": ("gaussian_blur", {"sigma": 1.7}, 3),
    "gaussian_blur alpha": ("gaussian_blur", {"sigma": 3.1}, 4),
    "rotate right angle": ("rotate", {"angle": 270, "canvas": "expand"}, 3),
}


def picture(channels: int = 3) -> np.ndarray:
    """A picture made by integer arithmetic alone."""
    y, x, c = np.mgrid[:48, :72, :channels]
    return ((x * x * 3 + y * (7 + c * 5) + x * y) % 256).astype(np.uint8)


def variant(number: int) -> tuple[str, Receipt]:
    made = apply(parse(RECIPE), picture(), seed=11, source="picture", variant=number)
    return pixel_digest(made.image), made.receipt


def test_order_and_processes_do_not_matter() -> None:
    expected = [variant(number) for number in range(12)]
    assert [variant(number) for number in reversed(range(12))] == expected[::-1]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        assert list(processes.map(variant, range(12))) == expected
    assert len({digest for digest, _ in expected}) == 12


@pytest.mark.parametrize(
    "change",
    [{"seed": 12}, {"source": "another"}, {"variant": 1}],
    ids=lambda change: next(iter(change)),
)
def test_each_part_of_the_key_matters(change: dict[str, Any]) -> None:
    key: dict[str, Any] = {"seed": 11, "source": "picture", "variant": 0}
    one = apply(parse(RECIPE), picture(), **key)
    other = apply(parse(RECIPE), picture(), **key | change)
    assert not np.array_equal(one.image, other.image)


def test_steps_of_the_same_kind_differ() -> None:
    noise = {"operation": "gaussian_noise", "parameters": {"std": {"min": 1, "max": 50}}}
    receipt = apply(parse([noise, noise]), picture()).receipt
    first, second = (step.parameters["std"] for step in receipt.steps)
    assert first != second


def test_a_receipt_replays() -> None:
    for number in range(8):
        made = apply(parse(RECIPE), picture(), seed=11, source="picture", variant=number)
        receipt = sealed(made.receipt, made.image)
        # As it would come back from a client.
        receipt = msgspec.json.decode(msgspec.json.encode(receipt), type=Receipt)
        drawn = [
            {"operation": taken.operation, "parameters": taken.parameters}
            if taken.applied
            else {**asked, "probability": 0}
            for asked, taken in zip(RECIPE, receipt.steps, strict=True)
        ]
        again = apply(
            parse(drawn),
            picture(),
            seed=receipt.seed,
            source=receipt.source,
            variant=receipt.variant,
        )
        assert pixel_digest(again.image) == receipt.pixels
        assert receipt.platform == fingerprint()


@pytest.mark.parametrize("name", EXACT)
def test_exact_operations_make_the_same_pixels_on_every_machine(name: str) -> None:
    operation, parameters, channels = EXACT[name]
    recipe = parse([{"operation": operation, "parameters": parameters}])
    made = apply(recipe, picture(channels), seed=2**53 - 1, source="exact", variant=7)
    assert pixel_digest(made.image) == DIGESTS[name]


def test_the_streams_stay_the_same() -> None:
    stream = Randomness(1, "source", 2).stream("0", "pixels")
    assert [int(word) for word in stream.words(2)] == [9840014079384260701, 17617977060796085714]
    assert stream.halfwords(3).tolist() == [11436, 17048, 12918]
    assert stream.unit() == 0.30713032716554434
    assert stream.below(1000) == 328


def test_single_numbers_and_arrays_are_of_one_stream() -> None:
    mixed = Stream(b"y")
    singles = [mixed.below(2**32) for _ in range(20)]
    whole = Stream(b"y").words(30)
    assert singles == [int(word) >> 32 for word in whole[:20]]
    assert np.array_equal(mixed.words(10), whole[20:])
    back = Stream(b"y")
    assert [back.seek(place).below(2**32) for place in (19, 9, 18, 0)] == [
        singles[place] for place in (19, 9, 18, 0)
    ]
    few = Stream(b"y")
    few.unit()
    assert np.array_equal(few.words(5), whole[1:6])


def test_streams_of_different_uses_differ() -> None:
    uses = [
        Randomness(seed, source, variant).stream(step, purpose).words(1)[0]
        for seed in (0, 1)
        for source in ("", "a")
        for variant in (0, 1)
        for step in ("0", "01")
        for purpose in ("pixels", "1pixels")
    ]
    assert len(set(uses)) == 32


def test_units_and_bounds() -> None:
    stream = Stream(b"x")
    units = [stream.unit() for _ in range(2000)]
    assert all(0 <= unit < 1 for unit in units)
    assert 0.48 < sum(units) / 2000 < 0.52
    assert {stream.below(3) for _ in range(100)} == {0, 1, 2}


def test_the_engine_is_a_library_without_services() -> None:
    program = (
        "import sys, json, augmentation_service.engine\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "cv2" in loaded
    assert not loaded & {"imagesystem", "litestar", "nats", "httpx", "uvicorn", "PIL"}
