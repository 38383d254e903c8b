"""AugMix: a picture blended with several that were augmented from it.

Hendrycks, Mu, Cubuk, Zoph, Gilmer and Lakshminarayanan: AugMix, ICLR 2020. It is an operation and
no policy, because what it makes is no chain of steps: what has been blended lies in several places
at once, and labels stay where they are.
"""

from __future__ import annotations

import numpy as np

from augmentation_service.engine.declarations import Operation, PixelOperation, Scene
from augmentation_service.engine.images import Image
from augmentation_service.engine.operations import geometry, levels
from augmentation_service.engine.parameters import Integer, Number, Value
from augmentation_service.engine.randomness import Stream

__all__ = ["OPERATIONS"]

_KNOWN: dict[str, Operation] = {
    operation.name: operation for operation in (*geometry.OPERATIONS, *levels.OPERATIONS)
}
#: Operation, parameter, and its value at severity 10; None: of no strength. The paper's.
_CHAIN: tuple[tuple[str, str | None, float], ...] = (
    ("autocontrast", None, 0),
    ("equalize", None, 0),
    ("posterize", "bits", 4),
    ("rotate", "angle", 30),
    ("solarize", "threshold", 256),
    ("shear", "shear_x", 16.6992),
    ("shear", "shear_y", 16.6992),
    ("shift", "x", 100 / 3),
    ("shift", "y", 100 / 3),
)
#: What grows weaker as strength grows.
_DOWNWARDS = {"bits": 8, "threshold": 256}


def _augmented(image: Image, stream: Stream, severity: float) -> Image:
    """Return the picture after one operation of a strength up to `severity`."""
    name, parameter, most = _CHAIN[stream.below(len(_CHAIN))]
    operation = _KNOWN[name]
    values: dict[str, Value] = {
        one.name: one.default for one in operation.parameters if one.default is not None
    }
    if parameter is not None:
        strength = most * severity / 10 * (0.1 + 0.9 * stream.unit())
        sign = 1 if parameter in _DOWNWARDS or stream.below(2) else -1
        start = _DOWNWARDS.get(parameter)
        value = sign * strength if start is None else start - strength
        kinds = {one.name: one for one in operation.parameters}
        kind = kinds[parameter]
        values[parameter] = kind.check(round(value) if isinstance(kind, Integer) else value)
    return np.ascontiguousarray(operation.perform(image, values, Scene(stream=stream)).image)


def _blended(
    image: Image, stream: Stream, *, severity: float, width: int, depth: int, alpha: float
) -> Image:
    if not severity:
        return image
    weights = stream.generator.dirichlet([alpha] * width)
    share = float(stream.generator.beta(alpha, alpha))
    mixture = np.zeros(image.shape, np.float32)
    for weight in weights:
        chain = image
        for _ in range(depth or 1 + stream.below(3)):
            chain = _augmented(chain, stream, severity)
        mixture += chain * np.float32(weight * share)
    mixture += image * np.float32(1 - share)
    rounded: Image = np.clip(mixture + np.float32(0.5), 0, 255).astype(np.uint8)
    return rounded


OPERATIONS = (
    PixelOperation(
        name="augmix",
        category="mixing",
        description="Blends the picture with several that were augmented from it by chains of "
        "operations; labels stay (Hendrycks et al., AugMix, 2020).",
        parameters=(
            Number(
                name="severity",
                description="how strong the operations are, at most",
                unit="tenths of the most",
                least=0,
                most=10,
                default=3,
            ),
            Integer(
                name="width",
                description="how many chains are blended",
                unit="chains",
                least=1,
                most=10,
                default=3,
            ),
            Integer(
                name="depth",
                description="operations of each chain; 0: 1 to 3, drawn for each",
                unit="operations",
                least=0,
                most=8,
                default=0,
            ),
            Number(
                name="alpha",
                description="how evenly shares are spread: of the Dirichlet and beta distributions",
                unit="concentration",
                least=0.1,
                most=10,
                default=1,
            ),
        ),
        function=_blended,
        eight_bits=True,
        exact=False,
        tolerance="a few of 255 levels",
        neutral={"severity": 0.0},
        cost="high",
    ),
)
