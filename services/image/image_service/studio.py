"""From frames of a source to the finished picture and its bytes, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from PIL import ExifTags, Image

from image_service import (
    animation,
    budget,
    colours,
    decoding,
    encoding,
    filters,
    redaction,
    resampling,
    surroundings,
    tilting,
    watermarks,
)
from image_service.formats import FORMATS, Encoding, Format
from image_service.geometry import Box, Orientation, Size
from image_service.layout import Layout, check_output, pixels_of
from image_service.limits import Limits
from image_service.recipes import Recipe

__all__ = ["Studio", "drawn_over"]


class Studio(msgspec.Struct, frozen=True, kw_only=True):
    """One recipe, its layout and what it needs; makes pictures of frames, bytes of pictures.

    `exif`: the source's orientation; `mark`: the watermark in the size in which it is drawn.
    """

    recipe: Recipe
    format: Format
    exif: Orientation
    layout: Layout
    limits: Limits
    mark: Image.Image | None = None

    def still(self, image: Image.Image) -> bytes:
        """Return the bytes of the frame that is shown."""
        picture = self._developed(image)
        kept = self._kept(image, picture)
        picture = self._reduced(picture)
        return budget.fitting(
            lambda quality: encoding.encode(picture, self.format, self._encoding(quality), **kept),
            self.recipe.quality,
            self.recipe.max_bytes,
        )

    def animated(self, image: Image.Image, count: int) -> bytes:
        """Return the bytes of all frames."""
        durations, pictures = [], []
        loop = animation.loop_of(image)
        for duration in animation.frames(image, count, self.limits):
            durations.append(duration)
            picture = self._developed(image)
            # What nothing was done to is the source itself, which is about to show its next frame.
            pictures.append(picture.copy() if picture is image else picture)
        timing = animation.Timing(durations_ms=tuple(durations), loop=loop)
        kept = self._kept(image, pictures[-1])
        return budget.fitting(
            lambda quality: animation.encode(
                pictures, timing, self.format, self._encoding(quality), **kept
            ),
            self.recipe.quality,
            self.recipe.max_bytes,
        )

    def _kept(self, image: Image.Image, picture: Image.Image) -> dict[str, Any]:
        """Return what goes along of the source's metadata."""
        profile: bytes | None = image.info.get("icc_profile")
        # Of the source's colours, and of what became of them: filters make colours of greys.
        own = profile and not self._profile(image) and colours.keeps(picture, profile)
        return {
            "profile": profile if profile and own else b"",
            "exif": _copyright(image) if "copyright" in self.recipe.keep else None,
        }

    def _encoding(self, quality: int) -> Encoding:
        recipe = self.recipe
        return Encoding(
            quality=quality,
            lossless=recipe.lossless,
            progressive=recipe.progressive,
            subsampling=recipe.subsampling,
        )

    def _developed(self, image: Image.Image) -> Image.Image:
        """Return the finished picture of the frame that is shown, as the format can hold it."""
        recipe, plan = self.recipe, self.layout
        picture = colours.without_needless_alpha(self._resampled(image))
        picture = filters.applied(picture, recipe.filters)
        picture = surroundings.on_canvas(
            picture, plan.canvas, plan.at, recipe.background, self.format
        )
        if recipe.watermark is not None and self.mark is not None:
            picture = watermarks.watermarked(picture, self.mark, recipe.watermark)
        if recipe.label is not None:
            picture = watermarks.labelled(picture, recipe.label)
        picture = surroundings.masked(picture, recipe.corner, circle=recipe.circle)
        if not self.format.alpha:
            return colours.flattened(picture, self._behind())
        return colours.with_hard_edges(picture) if self.format.one_bit else picture

    def _behind(self) -> tuple[int, int, int]:
        """Return what is seen where the format cannot hold that nothing is."""
        colour = self.recipe.background
        return colour[:3] if isinstance(colour, tuple) and colour[3] else colours.WHITE

    def _resampled(self, image: Image.Image) -> Image.Image:
        """Return the area in its size, upright, as L, LA, RGB or RGBA in sRGB."""
        plan, profile = self.layout.plan, self._profile(image)
        area, total = self.layout.area, self.layout.orientation
        if self.layout.tilt:
            return self._tilted(image, profile)
        box = (
            area[0] + plan.box[0],
            area[1] + plan.box[1],
            area[0] + plan.box[2],
            area[1] + plan.box[3],
        )
        return self._cut(image, box, plan.size, total, profile)

    def _cut(
        self,
        image: Image.Image,
        box: Box,
        size: Size,
        total: Orientation,
        profile: bytes | None,
    ) -> Image.Image:
        """Resample `box` (as shown) to `size`; turning comes last, on the pixels that are left."""
        stored, turned = total.stored(box, image.size), total.turned(size)
        decoded, place = decoding.pixels(image, stored, turned, self.limits)
        if self.recipe.redaction is not None:
            decoded, profile = colours.to_srgb(decoded, profile), None
            decoded = self._redacted(decoded, image.size)
        picture = resampling.resize(decoded, turned, place)
        if total.transpose is not None:
            picture = picture.transpose(total.transpose)
        return colours.to_srgb(picture, profile)

    def _tilted(self, image: Image.Image, profile: bytes | None) -> Image.Image:
        """Turn by an angle: in the size of the answer, so that few pixels are turned."""
        plan, area, tilt = self.layout.plan, self.layout.area, self.layout.tilt
        left, top, right, bottom = plan.box
        factor = max(plan.size[0] / (right - left), plan.size[1] / (bottom - top))
        size = (
            max(1, round((area[2] - area[0]) * factor)),
            max(1, round((area[3] - area[1]) * factor)),
        )
        check_output(size, FORMATS["png"], self.limits)
        straight = colours.without_needless_alpha(
            self._cut(image, area, size, self.layout.orientation, profile)
        )
        shown = round(area[2] - area[0]), round(area[3] - area[1])
        return tilting.turned(straight, tilt, shown, plan.box, plan.size)

    def _redacted(self, decoded: Image.Image, stored: Size) -> Image.Image:
        """Redact what was decoded, maybe at a fraction, of a picture of this stored size."""
        wanted = self.recipe.redaction
        if wanted is None:
            return decoded
        across, down = decoded.width / stored[0], decoded.height / stored[1]
        boxes = []
        for area in wanted.areas:
            box = pixels_of(area, self.exif.turned(stored), "redact")
            left, top, right, bottom = self.exif.stored(box, stored)
            boxes.append((left * across, top * down, right * across, bottom * down))
        return redaction.redacted(decoded, boxes, wanted.style)

    def _profile(self, image: Image.Image) -> bytes | None:
        """Return the profile to convert from; None where it is kept or there is none."""
        profile: bytes | None = image.info.get("icc_profile")
        if profile and "profile" in self.recipe.keep and colours.keeps(image, profile):
            return None
        return profile

    def _reduced(self, picture: Image.Image) -> Image.Image:
        """Return the picture with as few colours as are wanted."""
        if self.recipe.palette is None:
            return picture
        if picture.mode in ("LA", "RGBA"):
            few = picture.convert("RGBA").quantize(self.recipe.palette, Image.Quantize.FASTOCTREE)
            # A GIF says by an index what is transparent: that is for its encoder to choose.
            return few.convert("RGBA") if self.format.one_bit else few
        return picture.convert("RGB").quantize(self.recipe.palette, Image.Quantize.MEDIANCUT)


def drawn_over(
    recipe: Recipe, layout: Layout, others: Mapping[str, bytes], limits: Limits
) -> Image.Image | None:
    """Return the watermark in the size in which it is drawn, None if there is none."""
    wanted = recipe.watermark
    if wanted is None:
        return None
    image = decoding.open_(others[wanted.image_id], limits)
    exif = decoding.orientation(image)
    size = watermarks.size_of(exif.turned(image.size), layout.canvas, wanted.scale)
    whole, stored = (0, 0, *image.size), exif.turned(size)
    decoded, place = decoding.pixels(image, whole, stored, limits)
    mark = resampling.resize(decoded, stored, place)
    if exif.transpose is not None:
        mark = mark.transpose(exif.transpose)
    return colours.to_srgb(mark, image.info.get("icc_profile"))


def _copyright(image: Image.Image) -> Image.Exif | None:
    """Return who made the picture and who owns it, None if nobody says."""
    kept = Image.Exif()
    try:
        said = image.getexif()
        for tag in (ExifTags.Base.Copyright, ExifTags.Base.Artist):
            if isinstance(said.get(tag), str) and said[tag].strip():
                # The bytes as they are: Pillow reads them as Latin-1, and writes ASCII alone.
                kept[tag] = said[tag].encode("latin-1", "replace")[:2000]
    except Exception:  # noqa: BLE001  parsers of untrusted bytes raise anything
        return None
    return kept if len(kept) else None
