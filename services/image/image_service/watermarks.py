"""Another picture, or a line of text, over a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from image_service import lettering
from image_service.geometry import Size
from image_service.parameters.table import GRAVITIES
from image_service.recipes import Label, Watermark

__all__ = ["labelled", "size_of", "watermarked"]

#: Shares of the picture's shorter side: from the edge, and the height of a line of text.
MARGIN = 0.03
LINE = 0.06


def size_of(mark: Size, canvas: Size, scale: float) -> Size:
    """Return the size of a watermark: its share of the width, within the picture."""
    factor = min(canvas[0] * scale / mark[0], canvas[1] / mark[1])
    return max(1, round(mark[0] * factor)), max(1, round(mark[1] * factor))


def watermarked(picture: Image.Image, mark: Image.Image, watermark: Watermark) -> Image.Image:
    """Return the picture with a mark over it. `mark`: L, LA, RGB or RGBA, in its final size."""
    mark = mark.convert("RGBA")
    opacity = watermark.opacity
    mark.putalpha(mark.getchannel("A").point([round(level * opacity) for level in range(256)]))
    layer = _tiled(mark, picture.size) if watermark.tile else mark
    at = (0, 0) if watermark.tile else _place(layer.size, picture.size, watermark.position)
    return _over(picture, layer, at)


def _over(picture: Image.Image, layer: Image.Image, at: tuple[int, int]) -> Image.Image:
    """Return the picture (RGB or RGBA) with a layer over it; only what is below is touched."""
    whole = picture.convert("RGB" if picture.mode in ("L", "RGB") else "RGBA")
    right, bottom = min(at[0] + layer.width, whole.width), min(at[1] + layer.height, whole.height)
    below = whole.crop((*at, right, bottom)).convert("RGBA")
    below.alpha_composite(layer.crop((0, 0, *below.size)))
    whole.paste(below.convert(whole.mode), at)
    return whole


def _place(size: Size, canvas: Size, position: str) -> tuple[int, int]:
    margin = round(min(canvas) * MARGIN)
    x, y = (
        round(min(margin, room // 2) + (room - 2 * min(margin, room // 2)) * share)
        for room, share in zip(
            (max(0, canvas[0] - size[0]), max(0, canvas[1] - size[1])),
            GRAVITIES[position],
            strict=True,
        )
    )
    return x, y


def _tiled(mark: Image.Image, size: Size) -> Image.Image:
    """Repeat the mark, half its size apart, as often as the size holds."""
    tile = Image.new("RGBA", (mark.width + mark.width // 2, mark.height + mark.height // 2))
    tile.paste(mark, (mark.width // 4, mark.height // 4))
    down, across = -(-size[1] // tile.height), -(-size[0] // tile.width)
    return Image.fromarray(np.tile(np.asarray(tile), (down, across, 1))[: size[1], : size[0]])


def labelled(picture: Image.Image, label: Label) -> Image.Image:
    """Return the picture with text over it."""
    # No letter needs to be higher than the picture: what is drawn is bounded by its pixels.
    size = min(label.size or max(8, round(min(picture.size) * LINE)), picture.height)
    font = lettering.font(size)
    inset = max(2, size // 3)
    lines = _wrapped(label.text, font, max(1, picture.width - 2 * inset))
    draw = ImageDraw.Draw(Image.new("RGBA", (1, 1)))
    left, top, right, bottom = draw.multiline_textbbox((0, 0), lines, font=font, spacing=size // 4)
    width, height = round(right - left) + 2 * inset, round(bottom - top) + 2 * inset
    # What does not fit is not seen, and not drawn either.
    box = Image.new(
        "RGBA", (min(width, picture.width), min(height, picture.height)), label.background
    )
    written = Image.new("RGBA", box.size, (*label.colour[:3], 0))
    ImageDraw.Draw(written).multiline_text(
        (inset - left, inset - top), lines, font=font, fill=label.colour, spacing=size // 4
    )
    box.alpha_composite(written)
    return _over(picture, box, _place(box.size, picture.size, label.position))


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return the text with newlines where it would become wider: between words, or in them."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return "\n".join(lines)
