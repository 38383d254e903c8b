"""What is around a picture and behind it: background, padding, rounded corners."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from image_service import colours
from image_service.formats import Format
from image_service.geometry import Size

__all__ = ["WHITE", "edge_colour", "masked", "on_canvas"]

WHITE = (255, 255, 255, 255)
#: Corners are drawn this many times larger, then made small: smooth edges.
SMOOTH = 4
#: How far (in pixels of what is made small) colours go to where there are none, far ones first.
SPREADS = (32, 12, 4, 1)


def on_canvas(
    picture: Image.Image,
    canvas: Size,
    at: tuple[int, int],
    background: tuple[int, int, int, int] | str | None,
    format_: Format,
) -> Image.Image:
    """Return the picture (L, LA, RGB or RGBA) on a canvas, over its background.

    Without a background: transparent, white where the format has no alpha.
    """
    alone = picture.size == canvas
    if alone and (background is None or picture.mode in ("L", "RGB")):
        return picture
    if background is None and not format_.alpha:
        background = WHITE
    if background is None:
        picture = picture.convert("LA" if picture.mode in ("L", "LA") else "RGBA")
        base = Image.new(picture.mode, canvas)  # zeros: transparent
        base.paste(picture, at)
        return base
    if background == "blur":
        base = _blurred(picture, canvas)
    else:
        colour: Any = edge_colour(picture) if background == "auto" else background
        if picture.mode in ("L", "LA") and len(set(colour[:3])) == 1 and colour[3] == 255:
            picture = colours.flattened(picture, colour[:3])
            base = Image.new("L", canvas, colour[0])
            base.paste(picture, at)
            return base
        base = Image.new("RGBA", canvas, colour)
    base.alpha_composite(picture.convert("RGBA"), at)
    return colours.without_needless_alpha(base)


def _blurred(picture: Image.Image, canvas: Size) -> Image.Image:
    """Return the picture so large that it covers the canvas, out of focus."""
    # Blurred when small: nothing is lost by it, and it costs next to nothing.
    factor = 64 / max(canvas)
    small = max(1, round(canvas[0] * factor)), max(1, round(canvas[1] * factor))
    scale = min(picture.width / small[0], picture.height / small[1])
    width, height = small[0] * scale, small[1] * scale
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    box = (left, top, left + width, top + height)
    covering = picture.convert("RGBA").resize(small, Image.Resampling.BOX, box=box)
    out_of_focus = _filled(covering).filter(ImageFilter.GaussianBlur(3))
    return out_of_focus.resize(canvas, Image.Resampling.BICUBIC).convert("RGBA")


def _filled(picture: Image.Image) -> Image.Image:
    """Return a small picture (RGBA) as RGB: what cannot be seen has the colours around it."""
    if picture.getchannel("A").getextrema() == (255, 255):
        return picture.convert("RGB")
    values = np.asarray(picture, np.float64)
    alpha = values[..., 3:] / 255
    if not alpha.any():
        return Image.new("RGB", picture.size, WHITE[:3])
    weighted = values[..., :3] * alpha
    found = weighted.sum((0, 1)) / alpha.sum()
    for radius in SPREADS:
        down, across = _spread(picture.height, radius), _spread(picture.width, radius)
        colour, share = (
            np.einsum("ij,jkc,lk->ilc", down, each, across, optimize=True)
            for each in (weighted, alpha)
        )
        # Where a little of a colour has come, there is nothing but it.
        seen = np.minimum(1.0, 16 * share)
        found = found + (colour / np.maximum(share, 1e-9) - found) * seen
    return Image.fromarray(np.rint(np.clip(found, 0, 255)).astype(np.uint8))


def _spread(side: int, radius: float) -> NDArray[np.float64]:
    """Return the matrix (side, side) by which each pixel goes to those around it (Gaussian)."""
    places = np.arange(side)
    shares = np.exp(-0.5 * ((places[:, None] - places) / radius) ** 2)
    return np.asarray(shares / shares.sum(0))


def edge_colour(picture: Image.Image) -> tuple[int, int, int, int]:
    """Return the colour of most of the outermost pixels (16 levels a band tell colours apart).

    Outermost is the first and the last of each row and column that can be seen.
    """
    values = np.asarray(picture.convert("RGBA"))
    edge = np.concatenate([_ends(values), _ends(values.transpose(1, 0, 2))])
    if not edge.size:
        return WHITE
    coarse = edge.astype(np.int32) >> 4
    names = coarse[:, 0] << 8 | coarse[:, 1] << 4 | coarse[:, 2]
    most = np.bincount(names).argmax()
    red, green, blue = (int(level) for level in np.rint(edge[names == most].mean(0)))
    return red, green, blue, 255


def _ends(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colours (N, 3) of the first and the last opaque pixel of each row."""
    seen = values[..., 3] >= 250
    rows = np.flatnonzero(seen.any(1))
    first, last = seen[rows].argmax(1), seen.shape[1] - 1 - seen[rows, ::-1].argmax(1)
    return np.concatenate([values[rows, first, :3], values[rows, last, :3]])


def masked(picture: Image.Image, corner: int, *, circle: bool) -> Image.Image:
    """Return the picture with rounded corners (radius in pixels), or in a circle."""
    if not corner and not circle:
        return picture
    mask = _shape(picture.size, corner, circle=circle)
    with_alpha = picture.convert("LA" if picture.mode in ("L", "LA") else "RGBA")
    with_alpha.putalpha(ImageChops.multiply(with_alpha.getchannel("A"), mask))
    return with_alpha


def _shape(size: Size, corner: int, *, circle: bool) -> Image.Image:
    width, height = size
    radius = min(width, height) // 2 if circle else min(corner, width // 2, height // 2)
    left, top = ((width - 2 * radius) // 2, (height - 2 * radius) // 2) if circle else (0, 0)
    right, bottom = (width - left, height - top) if circle else size
    mask = Image.new("L", size, 0)
    mask.paste(255, (left, top, right, bottom))
    if not radius:
        return mask
    # Only the corners are curved: they alone are drawn large.
    large = Image.new("L", (radius * SMOOTH, radius * SMOOTH))
    side = 2 * radius * SMOOTH - 1
    ImageDraw.Draw(large).ellipse((0, 0, side, side), fill=255)
    quarter = large.resize((radius, radius), Image.Resampling.BOX)
    mirrored = quarter.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    upside = quarter.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    both = mirrored.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    mask.paste(quarter, (left, top))
    mask.paste(mirrored, (right - radius, top))
    mask.paste(upside, (left, bottom - radius))
    mask.paste(both, (right - radius, bottom - radius))
    return mask
