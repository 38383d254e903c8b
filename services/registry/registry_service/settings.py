"""What the environment may set for this service, with units."""

from __future__ import annotations

from typing import Annotated

from imagesystem.settings import ServiceSettings
from msgspec import Meta

__all__ = ["Settings"]

MIB = 1024 * 1024


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """The registry's settings; a field `max_pixels` is the variable `MAX_PIXELS`."""

    max_upload_bytes: Annotated[
        int, Meta(ge=1, description="bytes of one picture at most (413)")
    ] = 50 * MIB
    max_pixels: Annotated[
        int, Meta(ge=1, description="pixels of one frame at most, from the header (422)")
    ] = 100_000_000
    max_frames: Annotated[
        int, Meta(ge=1, description="frames or pages of one file at most (422)")
    ] = 1000
    max_batch_files: Annotated[
        int, Meta(ge=1, le=1000, description="files of one batch at most (413)")
    ] = 100
    max_batch_bytes: Annotated[
        int, Meta(ge=1, description="bytes of the body of one batch at most (413)")
    ] = 1024 * MIB
    max_concurrent_uploads: Annotated[
        int,
        Meta(ge=1, le=10_000, description="single pictures received at once; more wait for a turn"),
    ] = 64
    max_concurrent_batches: Annotated[
        int, Meta(ge=1, le=1000, description="batches received at once; more wait for a turn")
    ] = 4
    max_concurrent_validations: Annotated[
        int, Meta(ge=1, le=256, description="pictures whose structure is checked at once")
    ] = 4
    spool_bytes: Annotated[
        int, Meta(ge=0, description="bytes of one picture kept in memory; a larger one is on disk")
    ] = 4 * MIB
    spool_memory_bytes: Annotated[
        int, Meta(ge=0, description="bytes of all pictures together kept in memory, then disk")
    ] = 64 * MIB
    spool_dir: Annotated[
        str, Meta(description="folder for pictures being received; empty: the system's")
    ] = ""
    idle_timeout_s: Annotated[
        float,
        Meta(gt=0, description="seconds without a byte of a body (408) or for a turn (503)"),
    ] = 60.0
    max_originals_bytes: Annotated[
        int, Meta(ge=0, description="bytes of all originals (507); 0: as much as NATS may keep")
    ] = 0
    max_facts_bytes: Annotated[
        int, Meta(ge=0, description="bytes of all facts (507); 0: as much as NATS may keep")
    ] = 0
    max_commands_bytes: Annotated[
        int, Meta(ge=0, description="bytes of commands to be done; 0: as much as NATS may keep")
    ] = 0
    dead_letters_bytes: Annotated[
        int, Meta(ge=0, description="bytes of dead letters, the oldest give way; 0: no limit")
    ] = 512 * MIB
    dead_letters_days: Annotated[
        float, Meta(ge=0, description="days that dead letters are kept; 0: for ever")
    ] = 30.0
