"""A picture as it was sent: is it one, which one, and what its header says. Nothing is decoded."""

from __future__ import annotations

import warnings
from typing import BinaryIO

import msgspec
from imagesystem import logs
from imagesystem.errors import Rejected
from imagesystem.events import Exif
from PIL import Image

from registry_service import exif
from registry_service.structure import Format, Limits, Source, Structure, check
from registry_service.structure.source import corrupt

__all__ = ["Picture", "inspect", "restrict_pillow"]

log = logs.get(__name__)


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a picture before its pixels are: sizes in pixels as stored."""

    media_type: str
    width: int
    height: int
    frames: int
    exif: Exif | None = None


def restrict_pillow(limits: Limits) -> None:
    """Let Pillow refuse in this process what is larger than allowed, instead of warning.

    Loads its plugins as well, so that the first upload does not wait for them.
    """
    Image.init()
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    # what it remarks about odd metadata is neither an error nor anything to do about
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def inspect(file: BinaryIO, limits: Limits) -> Picture:
    """Verify the structure of `file` (seekable), then that the decoder recognises it.

    Reads the file once, with bounded memory; blocks, so call it in a thread. Raises `Rejected`:
    422 `empty_file` and what `registry_service.structure` lists.
    """
    source = Source(file)
    if not source.size:
        raise Rejected(422, "empty_file", "the file is empty")
    form, structure = check(source, limits)
    if structure.exif is not None and exif.is_hostile(structure.exif):
        raise corrupt("EXIF fields overlap")
    _open(file, form, structure)
    return Picture(
        media_type=structure.media_type,
        width=structure.width,
        height=structure.height,
        frames=structure.frames,
        exif=exif.with_orientation(_exif(source, structure), structure.orientation),
    )


def _exif(source: Source, structure: Structure) -> Exif | None:
    if structure.media_type == "image/tiff":
        return exif.read(source)  # a TIFF file is what EXIF is made of
    return exif.read_bytes(structure.exif) if structure.exif else None


def _open(file: BinaryIO, form: Format, structure: Structure) -> None:
    """Let Pillow read the header, as every service that decodes the picture will."""
    file.seek(0)
    try:
        with Image.open(file, formats=[form.name]) as image:
            size = image.size
    # Pillow's plugins raise whatever their parsing runs into; each of them means the same here
    except Exception as error:
        log.info("not_decodable", format=form.name, error=f"{type(error).__name__}: {error}"[:300])
        raise corrupt(f"its {form.name} header cannot be read") from error
    # Pillow gives the size of TIFF after its orientation, of everything else as stored
    known = {(structure.width, structure.height)}
    if form.name == "TIFF":
        known.add((structure.height, structure.width))
    if size not in known:
        raise corrupt(f"its headers disagree about its size: {size}, {structure}")
