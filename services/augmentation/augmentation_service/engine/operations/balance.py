"""Operations that balance: temperature, white, lighting, local contrast, another's histogram."""

from __future__ import annotations

from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, as_channels
from augmentation_service.engine.operations.channels import shifted
from augmentation_service.engine.parameters import Choice, Integer, Number
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.tables import LEVELS, LINEAR, encoded, histograms, looked_up, toned

__all__ = ["OPERATIONS"]

#: From CIE XYZ to linear sRGB (IEC 61966-2-1).
_TO_SRGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_NEUTRAL_KELVIN = 6500.0
#: Of the colours of ImageNet: roots of eigenvalues, eigenvectors in columns (Krizhevsky, Sutskever
#: and Hinton: ImageNet classification with deep convolutional neural networks, NeurIPS 2012; the
#: numbers are those of fb.resnet.torch).
_PCA_VALUES = np.array([0.2175, 0.0188, 0.0045])
_PCA_VECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)


def _planckian(kelvin: float) -> NDArray[np.float64]:
    """Return the linear sRGB colour of a black body, of luminance 1.

    Kim et al., US patent 7024034 (2006), fitted to the Planckian locus, 1667 to 25000 K.
    """
    t = 1000 / kelvin
    if kelvin <= 4000:
        x = ((-0.2661239 * t - 0.2343589) * t + 0.8776956) * t + 0.179910
    else:
        x = ((-3.0258469 * t + 2.1070379) * t + 0.2226347) * t + 0.240390
    if kelvin <= 2222:
        y = ((-1.1063814 * x - 1.34811020) * x + 2.18555832) * x - 0.20219683
    elif kelvin <= 4000:
        y = ((-0.9549476 * x - 1.37418593) * x + 2.09137015) * x - 0.16748867
    else:
        y = ((3.0817580 * x - 5.87338670) * x + 3.75112997) * x - 0.37001483
    colour: NDArray[np.float64] = _TO_SRGB @ np.array([x / y, 1.0, (1 - x - y) / y])
    return np.maximum(colour, 0)


def _lit(image: Image, stream: Stream, *, kelvin: float) -> Image:
    del stream
    if kelvin == _NEUTRAL_KELVIN:
        return image
    gains = _planckian(kelvin) / _planckian(_NEUTRAL_KELVIN)
    return toned(image, 255 * encoded(np.outer(gains / (gains @ _LUMINANCE), LINEAR)))


def _whitened(image: Image, stream: Stream, *, method: str, strength: float) -> Image:
    del stream
    if not strength:
        return image
    counts = histograms(image)
    if method == "grey_world":
        found = counts @ LEVELS / counts[0].sum()
        aim = float(found.mean())
    else:
        below = np.cumsum(counts, axis=1)
        found = np.array([np.searchsorted(one, one[-1] * 0.99) for one in below], np.float64)
        aim = float(found.max())
    gains = np.divide(aim, found, out=np.ones(3), where=found > 0)
    return toned(image, (1 + (gains[:, None] - 1) * strength / 100) * LEVELS)


def _lighted(image: Image, stream: Stream, *, strength: float) -> Image:
    if not strength:
        return image
    normal = NormalDist(0, strength)
    drawn = [normal.inv_cdf(min(max(stream.unit(), 2.0**-53), 1 - 2.0**-53)) for _ in range(3)]
    red, green, blue = 255 * (_PCA_VECTORS @ (_PCA_VALUES * drawn))
    return shifted(image, (red, green, blue))


def _locally_equalized(image: Image, stream: Stream, *, clip_limit: float, tiles: int) -> Image:
    del stream
    equalize = cv2.createCLAHE(clip_limit, (tiles, tiles)).apply
    if image.shape[2] == 1:
        return equalize(image[..., 0])[..., None]
    # Y of YCbCr is replaced: that adds the same to each channel.
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    equalized = equalize(luma)
    more, less = cv2.subtract(equalized, luma), cv2.subtract(luma, equalized)
    brighter = cv2.add(image, cv2.cvtColor(more, cv2.COLOR_GRAY2RGB))
    return cv2.subtract(brighter, cv2.cvtColor(less, cv2.COLOR_GRAY2RGB))


def _matched(image: Image, stream: Stream, *, others: tuple[Image, ...], amount: float) -> Image:
    del stream
    if not amount:
        return image
    mine = np.cumsum(histograms(image), axis=1)
    theirs = np.cumsum(histograms(as_channels(others[0], image.shape[2])), axis=1)
    # In integers: the level of the other that as large a part of its pixels reaches.
    tables = [
        np.searchsorted(other * int(own[-1]), own * int(other[-1]))
        for own, other in zip(mine, theirs, strict=True)
    ]
    matched = np.minimum(np.array(tables), 255)
    blended = np.floor(LEVELS + (matched - LEVELS) * (amount / 100) + 0.5)
    return looked_up(image, blended.astype(np.uint8))


OPERATIONS = (
    PixelOperation(
        name="temperature",
        category="colour",
        description="Lights the picture by a black body of another temperature: candles to shade.",
        parameters=(
            Number(
                name="kelvin",
                description="temperature of the light: 2000 is orange, 6500 as it is, 12000 blue",
                unit="kelvins",
                least=1700,
                most=25000,
            ),
        ),
        function=_lit,
        needs_colour=True,
        exact=True,
        neutral={"kelvin": _NEUTRAL_KELVIN},
        example={"kelvin": 3200.0},
    ),
    PixelOperation(
        name="white_balance",
        category="colour",
        description="Multiplies each channel so that what should be grey is.",
        parameters=(
            Choice(
                name="method",
                description="what should be grey",
                choices={
                    "grey_world": "the mean of the picture",
                    "white_patch": "its brightest hundredth",
                },
                default="grey_world",
            ),
            Number(
                name="strength",
                description="how far: 0 not at all, 100 until it is grey",
                unit="percent",
                least=0,
                most=100,
                default=100,
            ),
        ),
        function=_whitened,
        needs_colour=True,
        eight_bits=True,
        exact=True,
        neutral={"strength": 0.0},
    ),
    PixelOperation(
        name="pca_lighting",
        category="colour",
        description="Shifts colours along the directions in which those of ImageNet vary, by "
        "normally distributed amounts (Krizhevsky et al., 2012).",
        parameters=(
            Number(
                name="strength",
                description="standard deviation of the amounts",
                unit="deviations of the colours of ImageNet",
                least=0,
                most=5,
                default=0.1,
            ),
        ),
        function=_lighted,
        needs_colour=True,
        exact=True,
        neutral={"strength": 0.0},
        example={"strength": 0.8},
    ),
    PixelOperation(
        name="clahe",
        category="colour",
        description="Equalizes brightness in each part of the picture, as far as a limit of "
        "contrast allows; colours keep their differences (Zuiderveld, Graphics Gems IV, 1994).",
        parameters=(
            Number(
                name="clip_limit",
                description="how often a level may be found, of its share in a flat histogram",
                unit="factor",
                least=1,
                most=40,
                default=4,
            ),
            Integer(
                name="tiles",
                description="parts along each side",
                unit="parts",
                least=1,
                most=32,
                default=8,
            ),
        ),
        function=_locally_equalized,
        eight_bits=True,
        exact=False,
        cost="medium",
        tolerance="one of 255 levels",
    ),
    PixelOperation(
        name="histogram_matching",
        category="colour",
        description="Gives each channel the levels of another picture, in their frequencies.",
        parameters=(
            Number(
                name="amount",
                description="how far: 0 not at all, 100 wholly",
                unit="percent",
                least=0,
                most=100,
                default=100,
            ),
        ),
        function=_matched,
        eight_bits=True,
        exact=True,
        cost="medium",
        neutral={"amount": 0.0},
        pictures=2,
    ),
)
