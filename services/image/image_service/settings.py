"""What the environment may set for this service, with units."""

from __future__ import annotations

from typing import Annotated

from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from imagesystem.settings import BadSettings, ServiceSettings
from msgspec import Meta

from image_service import presets, signatures
from image_service.signatures import Unsigned

__all__ = ["Settings"]


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """The image service's settings; a field `workers` is the variable `WORKERS`."""

    cache_max_age_s: Annotated[
        int,
        Meta(
            ge=0,
            le=31_536_000,
            description="seconds that browsers and public caches may keep a picture without "
            "asking (a deleted one too); 0: they ask each time",
        ),
    ] = 86_400
    max_pixels: Annotated[
        int, Meta(ge=1, description="pixels of an original that are decoded at most")
    ] = 100_000_000
    max_output_pixels: Annotated[int, Meta(ge=1, description="pixels of a rendition at most")] = (
        40_000_000
    )
    workers: Annotated[
        int, Meta(ge=0, le=256, description="worker processes that render; 0: one per core")
    ] = 0
    max_waiting: Annotated[
        int, Meta(ge=1, description="renditions that wait for a worker; more are answered 429")
    ] = 64
    decoding_bytes: Annotated[
        int,
        Meta(
            ge=1,
            description="bytes of pixels that are decoded at a time, by all workers; a larger "
            "picture is decoded alone",
        ),
    ] = 512 * 1024**2
    memory_cache_bytes: Annotated[
        int, Meta(ge=0, description="bytes of renditions that are kept in memory; 0: none")
    ] = 128 * 1024**2
    originals_cache_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="bytes of originals that are kept in memory for their next rendition; "
            "0: none",
        ),
    ] = 32 * 1024**2
    render_deadline_s: Annotated[
        float, Meta(gt=0, description="seconds that one rendition may take a worker")
    ] = 30.0
    renditions_bytes: Annotated[
        int, Meta(ge=0, description="bytes of the cache, the oldest give way; 0: no limit")
    ] = 2 * 1024**3
    max_animation_frames: Annotated[
        int, Meta(ge=1, description="frames of an animation that is kept animated at most")
    ] = 300
    max_animation_pixels: Annotated[
        int, Meta(ge=1, description="pixels of all frames of such an animation at most")
    ] = 400_000_000
    max_transform_bytes: Annotated[
        int, Meta(ge=1, description="bytes of a file that is sent to /image/transform at most")
    ] = 50 * 1024**2
    unsettled_max_age_s: Annotated[
        int,
        Meta(
            ge=0,
            le=3600,
            description="seconds that a smart crop may be kept while not all is known of the "
            "picture",
        ),
    ] = 5
    presets: Annotated[
        str,
        Meta(description="presets: `name=query;name=query`, or the path of a TOML file"),
    ] = ""
    presets_only: Annotated[
        bool, Meta(description="whether nothing but presets can be asked for")
    ] = False
    unsigned: Annotated[
        Unsigned, Meta(description="what needs no signature: everything, originals, or nothing")
    ] = "all"
    signing_keys: Annotated[
        str,
        Meta(
            description="keys of signed URLs, with commas, each of 16 characters or more: the "
            "first signs, all are taken"
        ),
    ] = ""
    fallback_image_id: Annotated[
        str,
        Meta(description="image to show where a rendition's is missing or broken; empty: none"),
    ] = ""

    def __post_init__(self) -> None:
        """Raise `BadSettings` for what only shows when it is read."""
        problems = []
        for variable, read, text in (
            ("PRESETS", presets.load, self.presets),
            ("SIGNING_KEYS", signatures.keys_of, self.signing_keys),
            ("FALLBACK_IMAGE_ID", parse_image_id, self.fallback_image_id),
        ):
            try:
                read(text) if text else None
            except (ValueError, Rejected) as error:
                problems.append(f"{variable}: {error}")
        if self.unsigned != "all" and not self.signing_keys.strip(", "):
            problems.append(f"UNSIGNED={self.unsigned} needs SIGNING_KEYS")
        if problems:
            raise BadSettings(problems)
