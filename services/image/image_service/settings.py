"""What the environment may set for this service, with units."""

from __future__ import annotations

from typing import Annotated

from imagesystem.settings import ServiceSettings
from msgspec import Meta

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
        int, Meta(ge=1, description="renditions that wait for a worker; more are answered 503")
    ] = 64
    render_deadline_s: Annotated[
        float, Meta(gt=0, description="seconds that one rendition may take a worker")
    ] = 30.0
    renditions_bytes: Annotated[
        int, Meta(ge=0, description="bytes of the cache, the oldest give way; 0: no limit")
    ] = 2 * 1024**3
