"""What can be said of a picture: looked at once, in a worker process; bytes to facts, no I/O."""

from __future__ import annotations

import io
from typing import Any, cast

import msgspec
import numpy as np
from PIL import Image, ImageCms, IptcImagePlugin
from PIL.ImageFile import ImageFile

from image_service import animation, colours, decoding, placeholders, resampling
from image_service.geometry import ORIENTATIONS
from image_service.limits import Limits
from image_service.palettes import Colour, palette
from image_service.placeholders import data_uri

__all__ = ["SIDE", "Hashes", "Information", "Placeholder", "Survey", "survey"]

#: The longest side of what is looked at.
SIDE = 64
MOST_XMP = 64 * 1024
#: IPTC-IIM, record 2 and its fields that say what a picture shows and whose it is.
IPTC = {
    5: "title",
    25: "keywords",
    55: "date_created",
    80: "byline",
    90: "city",
    101: "country",
    105: "headline",
    110: "credit",
    116: "copyright",
    120: "caption",
}


class Hashes(msgspec.Struct, frozen=True, kw_only=True):
    """Perceptual hashes of the upright picture, 64 bits in hex: of the mean, of gradients, of
    waves (DCT). Alike pictures differ in few bits.
    """

    average: str
    difference: str
    perception: str


class Information(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says of itself. `mode` is Pillow's; `orientation` EXIF's, 1 to 8."""

    mode: str
    alpha: bool
    frames: int
    orientation: int
    icc_profile: str | None
    iptc: dict[str, str | list[str]]
    xmp: str | None
    hashes: Hashes


class Placeholder(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in for a picture: `thumbhash` in base64, `data_uri` a WebP of 16 pixels."""

    blurhash: str
    thumbhash: str
    data_uri: str


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """All that one look at a picture finds."""

    information: Information
    placeholder: Placeholder
    palette: list[Colour]


def survey(source: bytes, limits: Limits) -> Survey:
    """Look at a picture once; raises as `renditions.render`."""
    try:
        return _survey(source, limits)
    except MemoryError as error:
        raise decoding.undecodable(error, limits) from error


def _survey(source: bytes, limits: Limits) -> Survey:
    image = decoding.open_(source, limits)
    exif, mode = decoding.orientation(image), image.mode
    frames = animation.frame_count(image, limits)
    profile, iptc, xmp = _profile(image), _iptc(image), _xmp(image)
    longest = max(image.size)
    size = (
        max(1, min(image.width, image.width * SIDE // longest)),
        max(1, min(image.height, image.height * SIDE // longest)),
    )
    decoded, box = decoding.pixels(image, (0, 0, *image.size), size, limits)
    small = resampling.resize(decoded, size, box)
    if exif.transpose is not None:
        small = small.transpose(exif.transpose)
    picture = colours.to_srgb(small, image.info.get("icc_profile")).convert("RGBA")
    pixels = np.asarray(picture).astype(float) / 255
    number = next(value for value, each in ORIENTATIONS.items() if each == exif)
    return Survey(
        information=Information(
            mode=mode,
            alpha=bool((pixels[..., 3] < 1).any()),
            frames=frames,
            orientation=number,
            icc_profile=profile,
            iptc=iptc,
            xmp=xmp,
            hashes=_hashes(colours.flattened(picture).convert("L")),
        ),
        placeholder=Placeholder(
            blurhash=placeholders.blurhash(pixels),
            thumbhash=placeholders.thumbhash(pixels),
            data_uri=data_uri(picture),
        ),
        palette=palette(picture),
    )


def _profile(image: Image.Image) -> str | None:
    """Return what the colour profile calls itself, empty if it does not say."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    try:
        described = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return ""
    return described.strip()[:200]


def _iptc(image: Image.Image) -> dict[str, str | list[str]]:
    try:
        said: dict[Any, Any] = IptcImagePlugin.getiptcinfo(cast("ImageFile", image)) or {}
    except Exception:  # noqa: BLE001  parsers of untrusted bytes raise anything
        return {}
    found: dict[str, str | list[str]] = {}
    for number, name in IPTC.items():
        value = said.get((2, number))
        if isinstance(value, bytes):
            found[name] = [_text(value)] if name == "keywords" else _text(value)
        elif isinstance(value, list):
            found[name] = [_text(item) for item in value[:100] if isinstance(item, bytes)]
    return found


def _text(value: bytes) -> str:
    return value[:2000].decode("utf-8", "replace").replace("\0", "")


def _xmp(image: Image.Image) -> str | None:
    """Return the XMP packet as it is (RDF/XML), None if there is none or it is too large."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(packet, str):
        packet = packet.encode()
    if not isinstance(packet, bytes) or len(packet) > MOST_XMP:
        return None
    return packet.decode("utf-8", "replace").replace("\0", "")


def _hashes(grey: Image.Image) -> Hashes:
    def levels(width: int, height: int) -> Any:
        return np.asarray(grey.resize((width, height), Image.Resampling.LANCZOS)).astype(float)

    small, wide, large = levels(8, 8), levels(9, 8), levels(32, 32)
    angles = np.pi * np.outer(np.arange(8), np.arange(32) + 0.5) / 32
    waves = np.cos(angles) @ large @ np.cos(angles).T
    return Hashes(
        average=_hex(small > small.mean()),
        difference=_hex(wide[:, 1:] > wide[:, :-1]),
        perception=_hex(waves > np.median(waves.ravel()[1:])),
    )


def _hex(bits: Any) -> str:
    return np.packbits(bits.ravel()).tobytes().hex()
