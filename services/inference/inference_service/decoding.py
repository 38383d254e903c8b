"""Untrusted bytes → an upright sRGB array: formats allowed, size checked first, memory bounded.

Runs in a worker process: decoders are native code, and a crash must stay with its picture.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import cv2
import msgspec
import numpy as np
from imagesystem.errors import Rejected, Transient
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

__all__ = ["FORMATS", "Picture", "Pixels", "decode", "decoded_bytes"]

Pixels: TypeAlias = NDArray[np.uint8]

#: What Pillow may try, told from the content.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
ORIENTATION = 0x0112
BAND_PIXELS = 2_000_000
#: More pixels than any header of these formats can claim.
ANY_HEADER = 2**64
WHITE = (255, 255, 255)

#: EXIF orientation (TIFF 6.0) → what makes the stored rows upright.
_UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels.transpose(1, 0, 2)[:, ::-1],
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels.transpose(1, 0, 2)[::-1],
}
#: Modes that may be averaged as they are; the rest is converted first (to RGB unless named).
_AVERAGED = {"L", "RGB", "CMYK", "LAB"}
_CONVERTED = {"1": "L"}
#: Grey levels deeper than 8 bits.
_DEEP = {"I;16", "I;16B", "I;16L", "I;16N", "I", "F"}
#: Where the values do not say what means white: the least of these that none exceeds.
_WHITES = {"I": (255.0, 65_535.0), "F": (1.0, 255.0, 65_535.0)}


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded picture, upright.

    `pixels`: uint8 (h, w, 3), sRGB, transparent parts over white, perhaps reduced; `width` and
    `height`: pixels of the whole upright picture, before any reduction.
    """

    pixels: Pixels
    width: int
    height: int

    def reduced(self, side: int) -> Picture:
        """Return it with its longest side at most `side` pixels, area-averaged."""
        height, width = self.pixels.shape[:2]
        size = _fitted(width, height, side)
        if size == (width, height):
            return self
        pixels = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)
        return Picture(pixels=np.asarray(pixels, np.uint8), width=self.width, height=self.height)


def decode(data: bytes, *, max_pixels: int, side: int) -> Picture:
    """Return the first frame of the picture in `data`, its longest side at most `side` pixels.

    Raises `Rejected`: 422 `empty_file`, 415 `unsupported_media_type`, 422 `too_many_pixels`
    (from the header, before a pixel is decoded), 422 `corrupt_pixels`.
    """
    if not data:
        raise Rejected(422, "empty_file", "the file is empty")
    loaded = _load(data, max_pixels, side)
    orientation = _orientation(loaded.image)
    small = _srgb(_averaged(loaded.image, side), loaded.image.info.get("icc_profile"))
    pixels = _UPRIGHT[orientation](np.asarray(small, np.uint8))
    width, height = loaded.size if orientation < 5 else loaded.size[::-1]
    whole = Picture(pixels=np.ascontiguousarray(pixels), width=width, height=height)
    return whole.reduced(side)


def decoded_bytes(width: int, height: int, media_type: str, side: int) -> int:
    """Return what the pixels of a picture take while it is decoded, roughly."""
    factor = max(1, max(width, height) // side)
    # a JPEG's decoder makes it smaller itself; Pillow takes four bytes for each pixel
    scale = next(s for s in (8, 4, 2, 1) if s <= factor) if media_type == "image/jpeg" else 1
    return width * height * 4 // (scale * scale)


class _Loaded(msgspec.Struct):
    """A picture whose pixels are in memory, perhaps already smaller; `size` is as stored."""

    image: Image.Image
    size: tuple[int, int]


def _load(data: bytes, max_pixels: int, side: int) -> _Loaded:
    """Let Pillow's parsers and decoders at the bytes, and nothing else: any error is theirs."""
    try:
        # Opening reads the header alone, and the answer shall tell how many pixels it claims.
        with _pillow_limit(ANY_HEADER):
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        size = _checked(image, max_pixels)
        with _pillow_limit(max_pixels):
            # JPEG alone: the decoder makes it smaller itself, never below what is asked for.
            fitted = _fitted(*size, side)
            drafted = image.draft(None, fitted)
            image.load()
            # Pillow turns TIFF upright while it loads.
            return _Loaded(image, image.size if drafted is None else size)
    except Rejected:
        raise
    except UnidentifiedImageError as error:
        raise Rejected(
            415, "unsupported_media_type", f"not a picture in one of {', '.join(FORMATS)}"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Rejected(
            422, "too_many_pixels", str(error), limit="MAX_PIXELS", allowed=max_pixels
        ) from error
    except MemoryError as error:
        raise Transient("no memory left to decode the picture", code="out_of_memory") from error
    except Exception as error:  # they raise whatever they stumble over
        raise Rejected(
            422, "corrupt_pixels", f"the pixels cannot be decoded: {str(error)[:200]}"
        ) from error


@contextmanager
def _pillow_limit(pixels: int) -> Iterator[None]:
    """Set Pillow's own guard against bombs, and make its warning an error."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # broken metadata is common
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _checked(image: Image.Image, max_pixels: int) -> tuple[int, int]:
    width, height = image.size
    if width * height > max_pixels:
        raise Rejected(
            422,
            "too_many_pixels",
            f"{width} x {height} pixels are more than {max_pixels}",
            limit="MAX_PIXELS",
            allowed=max_pixels,
            actual=width * height,
        )
    return width, height


def _fitted(width: int, height: int, side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001  a broken EXIF block is common, and the pixels are still good
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _averaged(image: Image.Image, side: int) -> Image.Image:
    """Return it reduced by a whole factor to no less than `side`; L, RGB, CMYK or LAB, opaque.

    Band by band, so that a large picture is never held in a second, converted copy.
    """
    factor = max(1, max(image.size) // side)
    white = _white(image) if image.mode in _DEEP else 0.0
    bands = [
        (_eight_bit(band, white) if white else _opaque(band)).reduce(factor)
        for band in _bands(image, factor)
    ]
    whole = Image.new(bands[0].mode, (bands[0].width, sum(band.height for band in bands)))
    top = 0
    for band in bands:
        whole.paste(band, (0, top))
        top += band.height
    return whole


def _bands(image: Image.Image, multiple: int) -> Iterator[Image.Image]:
    """Yield the picture in bands of so many rows, or a multiple of that."""
    rows = max(1, BAND_PIXELS // image.width // multiple) * multiple
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _opaque(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, WHITE)
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    if image.mode in _AVERAGED:
        return image
    return image.convert(_CONVERTED.get(image.mode, "RGB"))


def _finite(image: Image.Image) -> NDArray[np.float32]:
    return np.nan_to_num(np.asarray(image, np.float32), posinf=0.0, neginf=0.0)


def _white(image: Image.Image) -> float:
    """Return the value that means white in a picture of deep grey levels."""
    if image.mode not in _WHITES:
        return 65_535.0
    highest = max(float(_finite(band).max()) for band in _bands(image, 1))
    return next((white for white in _WHITES[image.mode] if highest <= white), highest)


def _eight_bit(image: Image.Image, white: float) -> Image.Image:
    """Return deep grey levels with 8 bits (Pillow's `convert` clips them)."""
    grey = _finite(image)
    scaled = np.clip(grey * (255.0 / white) + 0.5, 0, 255)
    key = image.info.get("transparency")
    if isinstance(key, int):  # PNG's tRNS: the one level that is transparent
        scaled[grey == key] = 255
    return Image.fromarray(scaled.astype(np.uint8))


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return it as RGB, through its colour profile where it has one that can be used."""
    source: ImageCms.ImageCmsProfile | None = None
    try:
        if image.mode == "LAB":
            source = _standard("LAB")
        elif profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source is not None and "sRGB" not in (source.profile.profile_description or ""):
            target = _standard("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            if converted is not None:
                return converted
    except (ImageCms.PyCMSError, OSError, ValueError):
        pass  # a broken profile, or one of another colour space: what browsers do is ignore it
    return image.convert("RGB")


def _standard(name: Literal["LAB", "sRGB"]) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name))
