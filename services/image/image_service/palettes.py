"""The colours that a picture has most of. Pure."""

from __future__ import annotations

import msgspec
import numpy as np
from PIL import Image

__all__ = ["Colour", "palette"]

MOST = 8


class Colour(msgspec.Struct, frozen=True, kw_only=True):
    """One colour: `hex` as in CSS, `share` of the pixels that are seen (0 to 1)."""

    hex: str
    share: float


def palette(picture: Image.Image) -> list[Colour]:
    """Return at most eight colours, the most frequent first; `picture`: RGBA.

    Of what is transparent nothing is counted; where all is, there are no colours.
    """
    values = np.asarray(picture).reshape(-1, 4)
    seen = np.ascontiguousarray(values[values[:, 3] >= 128][:, :3])
    if not len(seen):
        return []
    row = Image.fromarray(seen[None])
    few = row.quantize(MOST, Image.Quantize.MEDIANCUT, kmeans=1)
    table = few.getpalette() or []
    counts: dict[str, int] = {}
    for index, count in enumerate(np.bincount(np.asarray(few).ravel())):
        name = "#" + bytes(table[3 * index : 3 * index + 3]).hex()
        if count:
            counts[name] = counts.get(name, 0) + int(count)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Colour(hex=name, share=round(count / len(seen), 4)) for name, count in ordered]
