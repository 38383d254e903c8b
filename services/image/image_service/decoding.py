"""Untrusted bytes in, pixels out: headers first, and no more pixels than are needed."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path

from imagesystem.errors import Rejected, Transient
from PIL import AvifImagePlugin, ExifTags, Image, TiffImagePlugin, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from image_service import colours, heap, libwebp, png
from image_service.geometry import ORIENTATIONS, Box, Orientation, Size
from image_service.limits import Limits, too_many_pixels

__all__ = ["open_", "orientation", "pixels", "prepare", "undecodable"]

#: What is decoded at all, told from content; everything else is refused before a byte of it
#: reaches a decoder.
DECODED = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", TiffImagePlugin.TiffImageFile.format)


#: What a worker keeps of its memory for the next picture: 1600 x 1200 pixels, decoded and copied.
KEPT_BYTES = 32 * 1024 * 1024


def prepare(max_pixels: int) -> None:
    """Load the codecs and have bombs raise: the initialiser of a worker process."""
    heap.keep(KEPT_BYTES)
    Image.MAX_IMAGE_PIXELS = max_pixels
    # These and those imported here are all of `DECODED`; Pillow has forty more.
    Image.preinit()
    # There is a worker per core: threads within one would only take turns.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # What decoders remark about odd bytes would only fill the log (libtiff writes to stderr
    # itself); what Pillow says of bombs counts.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def open_(source: bytes, limits: Limits) -> Image.Image:
    """Read the header, and refuse by it what is too large, before any pixel is decoded.

    Raises `Rejected` 422: `corrupt_pixels` or `too_many_pixels`.
    """
    try:
        image = Image.open(io.BytesIO(source), formats=DECODED)
    except Exception as error:  # decoders of untrusted bytes raise anything
        raise undecodable(error, limits) from error
    pixels = image.width * image.height
    if pixels > limits.max_pixels:
        raise too_many_pixels(pixels, limits)
    if isinstance(image, PngImageFile):
        # Pillow's getexif() loads a PNG, and a second load() after a failed one "succeeds" with
        # what there is: corrupt pixels would be served as blank ones.
        try:
            if not png.fill(image, source):
                image.load()
        except Exception as error:  # decoders of untrusted bytes raise anything
            raise undecodable(error, limits) from error
    return image


def undecodable(error: Exception, limits: Limits) -> Rejected | Transient:
    """Return what an error of a decoder means."""
    if isinstance(error, MemoryError):
        return Transient("not enough memory to decode the picture", code="out_of_memory")
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        found = re.search(r"(\d+) pixels", str(error))
        return too_many_pixels(int(found[1]) if found else 0, limits)
    why = str(error)
    if isinstance(error, UnidentifiedImageError):  # (Pillow would tell an address in memory)
        why = f"it is none of {', '.join(DECODED)}, or broken at its beginning"
    return Rejected(422, "corrupt_pixels", f"the picture cannot be decoded: {why}"[:300])


def orientation(image: Image.Image) -> Orientation:
    """Return what the EXIF tag says; a broken EXIF block says nothing."""
    if image.format == "TIFF":
        return ORIENTATIONS[1]  # Pillow turns TIFFs upright itself, their size included
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  parsers of untrusted bytes raise anything
        value = None
    return ORIENTATIONS.get(value if isinstance(value, int) else 1, ORIENTATIONS[1])


def pixels(image: Image.Image, box: Box, size: Size, limits: Limits) -> tuple[Image.Image, Box]:
    """Decode what an opened picture needs, if `box` of it (as stored) is to become `size`.

    Returns pixels that can be resampled (`colours.resamplable`) and the box in them: a JPEG is
    decoded at the smallest of its own scales (1/2, 1/4, 1/8) that is not below what is needed, a
    still WebP averaged to a little more than that.
    Raises `Rejected` 422 `corrupt_pixels`, `Transient` `out_of_memory`.
    """
    stored = image.size
    try:
        if (scaled := _scaled_webp(image, box, size)) is not None:
            return scaled, _scaled(box, scaled.width / stored[0], scaled.height / stored[1])
        # What the whole picture measures at the scale at which the box has the wanted size.
        drafted = image.draft(
            None,
            (
                max(1, int(stored[0] * size[0] / (box[2] - box[0]))),
                max(1, int(stored[1] * size[1] / (box[3] - box[1]))),
            ),
        )
        image.load()
        decoded = colours.resamplable(image)
    except Exception as error:  # decoders of untrusted bytes raise anything
        raise undecodable(error, limits) from error
    if drafted is None:
        return decoded, box
    # Exactly the chosen scale; the last column and row may stand for fewer pixels.
    scale = drafted[1][2] / stored[0]
    return decoded, _scaled(box, scale, scale)


def _scaled(box: Box, across: float, down: float) -> Box:
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down


def _scaled_webp(image: Image.Image, box: Box, size: Size) -> Image.Image | None:
    """Return a still WebP, averaged to a little more than is wanted; None of all else."""
    if not (
        isinstance(image, WebPImageFile)
        and image.n_frames == 1
        and isinstance(image.fp, io.BytesIO)
    ):
        return None
    scales = ((box[side + 2] - box[side]) / size[side] for side in (0, 1))
    across, down = (
        max(1, round(image.size[side] / libwebp.reduction(scale)))
        for side, scale in enumerate(scales)
    )
    return libwebp.decode(image.fp.getvalue(), image.size, (across, down))
