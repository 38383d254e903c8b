"""Receipts: all that is needed to make a variant again, and to say whether it is the same."""

from __future__ import annotations

import platform
from functools import cache

import cv2
import msgspec
import numpy as np

from augmentation_service.engine.images import Image, pixel_digest
from augmentation_service.engine.parameters import Value

__all__ = ["ENGINE", "Receipt", "StepTaken", "fingerprint", "sealed"]

#: Changes when the same receipt would give other pixels for a reason that is no operation's own.
ENGINE = "1"


class StepTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What a step did: `parameters` as drawn; left out by its probability if not `applied`.

    `others`: the digests of the pictures that it mixed in.
    """

    step: str
    operation: str
    version: int
    applied: bool = True
    parameters: dict[str, Value] = {}
    others: list[str] = []


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """How a variant was made.

    `source`: the digest its randomness is keyed by (in the service, SHA-256 of the source's
    bytes); `width`, `height`, `channels` and `pixels` (see `pixel_digest`) of the result;
    `platform`: what the pixels may depend on, where an operation is not exact.
    """

    engine: str
    seed: int
    source: str
    variant: int
    steps: list[StepTaken]
    width: int
    height: int
    channels: int
    platform: dict[str, str]
    pixels: str | None = None


def sealed(receipt: Receipt, image: Image) -> Receipt:
    """Return the receipt with the digest of the pixels that it is for."""
    return msgspec.structs.replace(receipt, pixels=pixel_digest(image))


@cache
def _instructions() -> str:
    """Return the widest instruction set that OpenCV uses here (it marks those with * or ?)."""
    features = [name.lstrip("*") for name in cv2.getCPUFeaturesLine().split() if "?" not in name]
    return features[-1] if features else "none"


def fingerprint() -> dict[str, str]:
    """Return what pixels may depend on besides the recipe."""
    return dict(_platform())


@cache
def _platform() -> dict[str, str]:
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "instructions": _instructions(),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }
