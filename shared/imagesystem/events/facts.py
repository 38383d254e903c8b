"""Facts: what happened to an image, in the past tense, whole state each time.

One message per subject is kept: the latest. New fields need defaults (an old message must
still decode); a breaking change is a new version of the subject.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from imagesystem.events.moments import Moment
from imagesystem.events.results import Analysis, Embedding, Faces, Labels, Objects, Text

__all__ = [
    "AnalysisInferred",
    "Annotated",
    "Augmented",
    "Collected",
    "Deleted",
    "EmbeddingInferred",
    "Exif",
    "FacesInferred",
    "Failed",
    "Gps",
    "Grouped",
    "Inferred",
    "LabelsInferred",
    "ObjectsInferred",
    "Place",
    "Planned",
    "TextInferred",
    "Uploaded",
]


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What all facts have; `kind` names the subject's token after the image id."""

    kind: ClassVar[str]
    image_id: str

    @property
    def key(self) -> str | None:
        """The last token of the subject, for the kinds that have one per task, variant, stage."""
        return None

    @property
    def subject(self) -> str:
        """Where this fact is published."""
        base = f"images.v1.{self.image_id}.{self.kind}"
        return f"{base}.{self.key}" if self.key else base


class Gps(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was taken: degrees north and east (WGS 84), metres above the sea."""

    latitude: float
    longitude: float
    altitude: float | None = None


class Exif(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the camera wrote (EXIF 2.32). `orientation` is the raw tag, 1-8."""

    orientation: int = 1
    make: str | None = None
    model: str | None = None
    lens: str | None = None
    software: str | None = None
    taken_at: str | None = None
    exposure_s: float | None = None
    f_number: float | None = None
    iso: int | None = None
    focal_length_mm: float | None = None
    artist: str | None = None
    copyright: str | None = None
    gps: Gps | None = None


class Uploaded(Fact, frozen=True, kw_only=True):
    """An original is stored in bucket `originals` under the image id.

    `width`, `height`: pixels as stored, before EXIF orientation; `frames`: 1 unless animated.
    """

    kind: ClassVar[str] = "uploaded"
    filename: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    frames: int
    sha256: str
    uploaded_at: Moment
    owner: str = "public"
    tags: list[str] = []
    exif: Exif | None = None


class Planned(Fact, frozen=True, kw_only=True):
    """Which inference tasks will run: the image is ready when each succeeded or failed."""

    kind: ClassVar[str] = "planned"
    tasks: list[str]
    planned_at: Moment


class Inferred(Fact, frozen=True, kw_only=True):
    """A task's answer. Every task has a subclass of its own with a typed `result`."""

    kind: ClassVar[str] = "inferred"
    task: str
    model: str
    model_version: str
    duration_ms: float
    inferred_at: Moment
    attempts: int = 1

    @property
    def key(self) -> str:
        """The task."""
        return self.task


class AnalysisInferred(Inferred, frozen=True, kw_only=True):
    """What was measured in the picture."""

    result: Analysis


class TextInferred(Inferred, frozen=True, kw_only=True):
    """What is written in the picture."""

    result: Text


class FacesInferred(Inferred, frozen=True, kw_only=True):
    """The faces in the picture."""

    result: Faces


class ObjectsInferred(Inferred, frozen=True, kw_only=True):
    """The things in the picture."""

    result: Objects


class LabelsInferred(Inferred, frozen=True, kw_only=True):
    """Words for the whole picture."""

    result: Labels


class EmbeddingInferred(Inferred, frozen=True, kw_only=True):
    """The picture as a vector, to find what looks alike."""

    result: Embedding


class Augmented(Fact, frozen=True, kw_only=True):
    """A variant is stored in bucket `variants` under `object`."""

    kind: ClassVar[str] = "augmented"
    variant_id: str
    task_id: str
    object: str
    media_type: str
    width: int
    height: int
    receipt: dict[str, Any]
    augmented_at: Moment
    labels: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """The variant."""
        return self.variant_id


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place on earth: degrees north and east (WGS 84)."""

    latitude: float
    longitude: float


class Annotated(Fact, frozen=True, kw_only=True):
    """What people set: the whole of it, each time.

    `rating`: 0 to 5, null where nobody has rated it; `position`: where it was taken, null where
    what the camera wrote stands.
    """

    kind: ClassVar[str] = "annotated"
    annotated_at: Moment
    tags: list[str] = []
    caption: str | None = None
    rating: int | None = None
    favourite: bool = False
    position: Place | None = None


class Collected(Fact, frozen=True, kw_only=True):
    """The image is in an album; or was, and is not any more: then `removed` is true.

    `order`: the album is sorted by it, ascending, then by image id; `cover`: stands for the album
    (of several, the one that was said last).
    """

    kind: ClassVar[str] = "collected"
    album_id: str
    collected_at: Moment
    order: float = 0.0
    cover: bool = False
    removed: bool = False

    @property
    def key(self) -> str:
        """The album."""
        return self.album_id


class Grouped(Fact, frozen=True, kw_only=True):
    """The image is one of several that are the same picture, or look the same.

    `group`: the id of the image of the group that was uploaded first, null when this one is
    alone, after it was not; `keeper`: which of the group to keep: most pixels, then sharpest, then
    most bytes.
    """

    kind: ClassVar[str] = "grouped"
    grouped_at: Moment
    group: str | None = None
    keeper: str | None = None

    @property
    def key(self) -> str:
        """What it is grouped by."""
        return "duplicates"


class Failed(Fact, frozen=True, kw_only=True):
    """A stage gave up on the image (`stage`: a task's name, or the consumer's).

    `resolved` is true in the last message of a failure that is over: it is kept for a second,
    so that whoever listens hears of it, and is then gone from the log.
    """

    kind: ClassVar[str] = "failed"
    stage: str
    code: str
    message: str
    attempts: int
    failed_at: Moment
    resolved: bool = False

    @property
    def key(self) -> str:
        """The stage."""
        return self.stage


class Deleted(Fact, frozen=True, kw_only=True):
    """The tombstone: the image is gone everywhere; later facts about it are refused."""

    kind: ClassVar[str] = "deleted"
    reason: str
    deleted_at: Moment
