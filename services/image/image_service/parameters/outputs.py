"""What a recipe says of the answer's bytes: format, quality, frames, metadata."""

from __future__ import annotations

from typing import Any

from image_service import formats
from image_service.formats import FORMATS
from image_service.parameters.parsing import Wanted, conflict
from image_service.parameters.table import AUTO
from image_service.recipes import Source

__all__ = ["encoding", "format_of", "frames"]

#: Whose animations stay animated unless told otherwise, by the format of the answer.
_ANIMATED = ("gif", "webp", "avif")
#: The formats that hold pixels and nothing else.
_BARE = ("gif", "bmp")
#: The formats that always lose something.
_LOSSY = ("jpeg", "avif")


def encoding(wanted: Wanted, name: str) -> dict[str, Any]:
    """Return how pixels are written in this format; what it cannot be told is left out."""
    default = FORMATS[name].quality
    lossless = bool(wanted.get("lossless")) and name == "webp"
    colours = name in ("jpeg", "avif")
    return {
        "format": name,
        "quality": None if lossless else default and (wanted.get("quality") or default),
        "lossless": lossless,
        "progressive": bool(wanted.get("progressive")) and name == "jpeg",
        "subsampling": wanted.get("subsampling") if colours else None,
        "palette": wanted.get("palette") if name in ("png", "gif") else None,
        "max_bytes": wanted.get("max_bytes"),
        "keep": wanted.get("keep", ()) if name not in _BARE else (),
    }


def frames(wanted: Wanted, source: Source, name: str) -> dict[str, Any]:
    """Return which frames are shown; raises `Rejected` 400 `conflicting_parameters`."""
    frame, animate = wanted.get("frame"), wanted.get("animate")
    if frame is not None and animate:
        raise conflict("animate=true", "frame", "one of the two")
    if "faces" in wanted.get("redact", ()):
        # They were looked for in the first frame; what the others show, nobody knows.
        if frame or animate:
            raise conflict("redact=faces", "animate and frame", "the first frame")
        animate = False
    if animate is None:
        own = formats.DEFAULTS.get(source.media_type) == name
        animate = frame is None and (name in _ANIMATED or own)
    moves = source.media_type != "image/tiff" and source.frames > 1 and name in formats.ANIMATES
    return {"frame": frame or 0, "animate": bool(animate and moves)}


def format_of(wanted: Wanted, source: Source, accept: str) -> str:
    """Return the format of the answer; raises `Rejected` 400 `conflicting_parameters`."""
    default = formats.DEFAULTS.get(source.media_type, "png")
    name: str = wanted.get("format") or default
    lossless = bool(wanted.get("lossless"))
    if name == AUTO:
        # Both sides of the answer are bounded by these, whatever the fit.
        longest = max(source.width, source.height, wanted.get("width", 1), wanted.get("height", 1))
        candidates = ("webp",) if lossless else formats.NEGOTIATED
        chosen = _negotiate(accept, longest, candidates)
        name = chosen or ("png" if lossless and default in _LOSSY else default)
    if lossless and name in _LOSSY:
        allowed = ", ".join(other for other in FORMATS if other not in _LOSSY)
        raise conflict("lossless", f"format {name}", allowed)
    return name


def _negotiate(accept: str, longest: int, candidates: tuple[str, ...]) -> str | None:
    """Return the best format that `Accept` names; wildcards promise no modern format (curl)."""
    named: set[str] = set()
    for entry in accept.split(","):
        media_type, *attributes = (part.strip().lower() for part in entry.split(";"))
        refused = any(
            attribute.replace(" ", "") in ("q=0", "q=0.0", "q=0.00", "q=0.000")
            for attribute in attributes
        )
        if not refused:
            named.add(media_type)
    for name in candidates:
        if FORMATS[name].media_type in named and longest <= FORMATS[name].max_side:
            return name
    return None
