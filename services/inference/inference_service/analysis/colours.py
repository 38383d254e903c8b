"""Dominant colours: which few colours a picture is made of, how much of each, and their names."""

from __future__ import annotations

import numpy as np
from imagesystem.events import Colour
from numpy.typing import NDArray
from PIL import ImageColor

from inference_service.decoding import Pixels

__all__ = ["ciede2000", "dominant_colours", "histogram", "lab_of_srgb", "name_of"]

#: At most so many colours are told, none with less than this share of the pixels.
MOST, LEAST_SHARE = 6, 0.02
#: Clusters to begin with; those nearer than this in CIELAB (Delta E 1976) become one.
CLUSTERS, APART = 10, 14.0
ROUNDS = 12
#: Bits per channel of the histogram that is clustered instead of the pixels.
BITS = 5
#: Of larger pictures only every n-th row and column is counted: no mixed colours arise.
COUNTED_SIDE = 256

Floats = NDArray[np.float64]

#: Linear sRGB to CIE XYZ (IEC 61966-2-1), with the D65 white point as 1, 1, 1.
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
) / np.array([[0.95047], [1.0], [1.08883]])


def lab_of_srgb(colours: Floats) -> Floats:
    """Return CIELAB (D65) of `colours` (n, 3), sRGB 0-255."""
    values = colours / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _XYZ.T
    curve = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lightness = 116 * curve[:, 1] - 16
    red_green = 500 * (curve[:, 0] - curve[:, 1])
    yellow_blue = 200 * (curve[:, 1] - curve[:, 2])
    return np.stack([lightness, red_green, yellow_blue], axis=1)


def ciede2000(one: Floats, many: Floats) -> Floats:
    """Return the CIEDE2000 differences (n,) of `one` (3,) from `many` (n, 3), all CIELAB.

    As in Sharma, Wu and Dalal 2005, whose test data the tests check. The plain distance in
    CIELAB calls dark browns grey and dark blues green.
    """
    mean_chroma = (np.hypot(*one[1:]) + np.hypot(many[:, 1], many[:, 2])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7))
    chroma_1, hue_1 = np.hypot(stretch * one[1], one[2]), _hue(stretch * one[1], one[2])
    chroma_2 = np.hypot(stretch * many[:, 1], many[:, 2])
    hue_2 = _hue(stretch * many[:, 1], many[:, 2])
    grey = chroma_1 * chroma_2 == 0
    turn = np.where(grey, 0.0, (hue_2 - hue_1 + 180) % 360 - 180)
    hue = np.radians(np.where(grey, hue_1 + hue_2, hue_1 + turn / 2))
    lightness = (one[0] + many[:, 0]) / 2 - 50
    chroma = (chroma_1 + chroma_2) / 2
    waves = (
        1
        - 0.17 * np.cos(hue - np.radians(30))
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + np.radians(6))
        - 0.20 * np.cos(4 * hue - np.radians(63))
    )
    by_lightness = (many[:, 0] - one[0]) / (1 + 0.015 * lightness**2 / np.hypot(20**0.5, lightness))
    by_chroma = (chroma_2 - chroma_1) / (1 + 0.045 * chroma)
    by_hue = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(np.radians(turn / 2))
    by_hue = by_hue / (1 + 0.015 * chroma * waves)
    blue = np.radians(60) * np.exp(-(((np.degrees(hue) % 360 - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(blue)
    return np.asarray(
        np.sqrt(by_lightness**2 + by_chroma**2 + by_hue**2 + rotation * by_chroma * by_hue)
    )


def _hue(red_green: Floats, yellow_blue: float | Floats) -> Floats:
    return np.asarray(np.degrees(np.arctan2(yellow_blue, red_green)) % 360)


def _css_names() -> tuple[list[str], Floats]:
    """Return the CSS colour names, one per colour (of gray and grey: gray), and their CIELAB."""
    by_value: dict[tuple[int, ...], str] = {}
    for name in ImageColor.colormap:
        by_value.setdefault(ImageColor.getrgb(name), name)
    values = np.array([value[:3] for value in by_value], np.float64)
    return list(by_value.values()), lab_of_srgb(values)


_NAMES, _NAMED = _css_names()


def name_of(colour: Floats) -> str:
    """Return the CSS name nearest to `colour` (3,), sRGB 0-255, in CIELAB by CIEDE2000."""
    return _NAMES[int(np.argmin(ciede2000(lab_of_srgb(colour[None])[0], _NAMED)))]


def histogram(pixels: Pixels) -> tuple[Floats, Floats]:
    """Return the mean sRGB colours (n, 3) of the occupied cells of colour space, and shares (n,).

    `pixels`: uint8 (h, w, 3). Cells are 2**`BITS` a channel; the order is fixed.
    """
    step = -(-max(pixels.shape) // COUNTED_SIDE)
    flat = pixels[::step, ::step].reshape(-1, 3)
    coarse = flat >> (8 - BITS)
    cells = coarse[:, 0].astype(np.int32) << 2 * BITS
    cells |= coarse[:, 1].astype(np.int32) << BITS
    cells |= coarse[:, 2]
    counts = np.bincount(cells, minlength=1 << 3 * BITS)
    occupied = np.flatnonzero(counts)
    means = np.stack(
        [
            np.bincount(cells, weights=flat[:, channel], minlength=counts.size)[occupied]
            for channel in range(3)
        ],
        axis=1,
    )
    return means / counts[occupied, None], counts[occupied] / len(flat)


def dominant_colours(colours: Floats, shares: Floats) -> list[Colour]:
    """Return the dominant colours of a `histogram`, largest share first.

    Weighted k-means in CIELAB, begun with the commonest colour and then always with the one
    that is common and far from those chosen; the same pixels give the same answer. A share is
    that of the pixels nearest to the colour.
    """
    lab = lab_of_srgb(colours)
    assigned = _merged(lab, shares, _clustered(lab, shares))
    found: list[tuple[float, Floats]] = []
    for cluster in np.unique(assigned):
        members = assigned == cluster
        share = float(shares[members].sum())
        found.append((share, (shares[members] @ colours[members]) / share))
    found.sort(key=lambda pair: (-pair[0], pair[1].tolist()))
    told = [pair for pair in found[:MOST] if pair[0] >= LEAST_SHARE] or found[:1]
    return [_described(share, mean) for share, mean in told]


def _described(share: float, mean: Floats) -> Colour:
    red, green, blue = np.floor(mean + 0.5).astype(int).tolist()
    return Colour(
        name=name_of(mean),
        hex=f"#{red:02x}{green:02x}{blue:02x}",
        share=round(share, 4),
    )


def _distances(lab: Floats, centres: Floats) -> Floats:
    """Return squared distances (n, k)."""
    squares = (lab**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None]
    return np.asarray(squares - 2 * lab @ centres.T)


def _clustered(lab: Floats, shares: Floats) -> NDArray[np.intp]:
    """Return the cluster of each colour."""
    chosen = [int(np.argmax(shares))]
    nearest = _distances(lab, lab[chosen])[:, 0]
    while len(chosen) < min(CLUSTERS, len(lab)):
        chosen.append(int(np.argmax(nearest * shares)))
        nearest = np.minimum(nearest, _distances(lab, lab[chosen[-1:]])[:, 0])
    centres = lab[chosen]
    assigned = np.argmin(_distances(lab, centres), axis=1)
    for _ in range(ROUNDS):
        weights = np.bincount(assigned, weights=shares, minlength=len(centres))
        held = weights > 0
        for axis in range(3):
            sums = np.bincount(assigned, weights=shares * lab[:, axis], minlength=len(centres))
            centres[held, axis] = sums[held] / weights[held]
        before, assigned = assigned, np.argmin(_distances(lab, centres), axis=1)
        if np.array_equal(before, assigned):
            break
    return np.asarray(assigned)


def _merged(lab: Floats, shares: Floats, assigned: NDArray[np.intp]) -> NDArray[np.intp]:
    """Join the two nearest clusters until all are `APART`."""
    assigned = assigned.copy()
    while True:
        clusters = np.unique(assigned)
        centres = np.stack(
            [
                np.average(lab[assigned == c], axis=0, weights=shares[assigned == c])
                for c in clusters
            ]
        )
        gaps = _distances(centres, centres)
        np.fill_diagonal(gaps, np.inf)
        first, second = np.unravel_index(int(np.argmin(gaps)), gaps.shape)
        if gaps[first, second] >= APART**2:
            return assigned
        assigned[assigned == clusters[second]] = clusters[first]
