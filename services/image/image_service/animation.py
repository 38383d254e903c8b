"""Pictures of several frames: which there are, how long each is shown, how they are written."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import msgspec
from imagesystem.errors import Rejected
from PIL import Image

from image_service import avif, decoding
from image_service.formats import Encoding, Format
from image_service.limits import Limits

__all__ = ["Timing", "encode", "frame_count", "frames", "show"]

#: What browsers show a frame for that says nothing.
USUAL_MS = 100


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long each frame is shown (milliseconds) and how often all of them (0: for ever)."""

    durations_ms: tuple[int, ...]
    loop: int | None


def frame_count(image: Image.Image, limits: Limits) -> int:
    """Return how many frames or pages an opened picture has."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception as error:  # decoders of untrusted bytes raise anything
        raise decoding.undecodable(error, limits) from error


def show(image: Image.Image, number: int, limits: Limits) -> None:
    """Go to a frame; raises `Rejected` 422 `no_such_frame`, `animation_too_large`.

    (All that come before it are decoded, but of a TIFF, whose pages stand alone.)
    """
    count = frame_count(image, limits)
    if number >= count:
        raise Rejected(
            422,
            "no_such_frame",
            f"frame {number} is not there: {count} are, the first is 0",
            limit="frame",
            allowed=count - 1,
            actual=number,
        )
    if image.format != "TIFF":
        _check_pixels(image, number + 1, limits)
    try:
        image.seek(number)
    except Exception as error:  # decoders of untrusted bytes raise anything
        raise decoding.undecodable(error, limits) from error


def check(image: Image.Image, limits: Limits) -> int:
    """Return how many frames there are; raises `Rejected` 422 `animation_too_large`."""
    count = frame_count(image, limits)
    if count > limits.max_animation_frames:
        raise _too_large(
            f"the animation has {count} frames",
            limit="MAX_ANIMATION_FRAMES",
            allowed=limits.max_animation_frames,
            actual=count,
        )
    _check_pixels(image, count, limits)
    return count


def _check_pixels(image: Image.Image, count: int, limits: Limits) -> None:
    pixels = count * image.width * image.height
    if pixels > limits.max_animation_pixels:
        raise _too_large(
            f"{count} frames of {image.width} x {image.height} pixels would have to be decoded",
            limit="MAX_ANIMATION_PIXELS",
            allowed=limits.max_animation_pixels,
            actual=pixels,
        )


def _too_large(message: str, *, limit: str, allowed: int, actual: int) -> Rejected:
    return Rejected(
        422,
        "animation_too_large",
        f"{message}: ask for animate=false, or for one of the first with frame",
        limit=limit,
        allowed=allowed,
        actual=actual,
    )


def frames(image: Image.Image, count: int, limits: Limits) -> Iterator[int]:
    """Go through all frames; yields how long each is shown, in milliseconds."""
    for number in range(count):
        show(image, number, limits)
        try:
            image.load()  # of some formats the time is known with the pixels
        except Exception as error:  # decoders of untrusted bytes raise anything
            raise decoding.undecodable(error, limits) from error
        duration = image.info.get("duration", USUAL_MS)
        valid = isinstance(duration, int | float) and 0 <= duration <= 3_600_000
        yield round(duration) if valid else USUAL_MS


def loop_of(image: Image.Image) -> int | None:
    """Return how often an opened animation is shown: 0 for ever, None once (as GIF says it)."""
    if image.format == "AVIF":
        return 0
    loop = image.info.get("loop")
    return loop if isinstance(loop, int) and 0 <= loop <= 65_535 else None


def encode(
    pictures: Sequence[Image.Image],
    timing: Timing,
    format_: Format,
    encoding: Encoding,
    *,
    profile: bytes = b"",
    exif: Image.Exif | None = None,
) -> bytes:
    """Encode frames (all of one size) as one animation; see `encoding.encode`."""
    mode = "RGBA" if any(picture.mode in ("LA", "RGBA") for picture in pictures) else "RGB"
    alike = [each if each.mode == mode else each.convert(mode) for each in pictures]
    for picture in alike:
        picture.info = {}
    options = {**format_.options(encoding), "duration": list(timing.durations_ms)}
    if profile:
        options["icc_profile"] = profile
    if exif:
        options["exif"] = exif
    if format_.name == "gif":
        options["disposal"] = 2 if mode == "RGBA" else 1
    if timing.loop is not None:
        options["loop"] = timing.loop
    elif format_.name in ("webp", "png"):
        options["loop"] = 1
    buffer = io.BytesIO()
    alike[0].save(buffer, format_.pillow, save_all=True, append_images=alike[1:], **options)
    data = buffer.getvalue()
    return avif.undated(data) if format_.name == "avif" else data
