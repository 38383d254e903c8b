"""The document: everything known about one image, as MongoDB holds it.

Each section is the latest fact of its kind, with the stream sequence it came with in `seq`
(`{"uploaded": 12, "inferred.analysis": 15}`: the subject without its first three tokens). The
fields under "derived" follow from the sections alone (`metadata_service.derivation`), so that a
rebuild from the log makes the same document.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from imagesystem.events import Exif, Place

__all__ = [
    "SHAPE",
    "Annotation",
    "Counted",
    "Document",
    "Failure",
    "Grouping",
    "Inference",
    "Location",
    "Membership",
    "Orientation",
    "Plan",
    "Scored",
    "Shade",
    "Status",
    "Tombstone",
    "Upload",
    "Variant",
    "Words",
]

#: The shape of the documents that this version writes; see `metadata_service.migrations`.
SHAPE = 2

#: `pending`: a planned task has not answered; `ready`: all have; `partial`: some gave up;
#: `failed`: none answered; `deleted`: the tombstone is all there is.
Status: TypeAlias = Literal["pending", "ready", "partial", "failed", "deleted"]
Orientation: TypeAlias = Literal["landscape", "portrait", "square"]


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry said; `width` and `height` are pixels as stored, before orientation."""

    filename: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    frames: int
    sha256: str
    uploaded_at: datetime
    owner: str
    tags: list[str] = []
    exif: Exif | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks will run."""

    tasks: list[str]
    planned_at: datetime


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """What a task answered; `result` is the task's struct as plain data."""

    model: str
    model_version: str
    duration_ms: float
    inferred_at: datetime
    attempts: int = 1
    result: Any = None


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """An augmented picture.

    `receipt` and `labels` are JSON text: they must come out exactly as they went in, and BSON
    has neither unsigned 64-bit seeds nor keys with a NUL.
    """

    task_id: str
    object: str
    media_type: str
    width: int
    height: int
    augmented_at: datetime
    receipt: str
    labels: str | None = None


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """What people set, the whole of it."""

    annotated_at: datetime
    tags: list[str] = []
    caption: str | None = None
    rating: int | None = None
    favourite: bool = False
    position: Place | None = None


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """The image is in an album, or (`removed`) was."""

    collected_at: datetime
    order: float = 0.0
    cover: bool = False
    removed: bool = False


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """The image is one of a `group` of duplicates (None: not any more); `keeper` is its best."""

    grouped_at: datetime
    group: str | None = None
    keeper: str | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A stage that gave up and has not succeeded since."""

    code: str
    message: str
    attempts: int
    failed_at: datetime


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """The image was deleted at stream sequence `seq`; kept so that late facts stay out."""

    seq: int
    reason: str
    deleted_at: datetime


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A label, and how sure it is (0-1)."""

    name: str
    score: float


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A class of things, and how many of them were found."""

    name: str
    count: int


class Shade(msgspec.Struct, frozen=True, kw_only=True):
    """A dominant colour in CIELAB (D65) and its share of the pixels (0-1)."""

    hex: str
    l: float  # noqa: E741  what CIE calls it
    a: float
    b: float
    share: float


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A GeoJSON point: degrees east, then north (WGS 84)."""

    coordinates: list[float]
    type: Literal["Point"] = "Point"


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The words that a text search looks through, folded (`metadata_service.search.words`)."""

    filename: str = ""
    caption: str = ""
    tags: list[str] = []
    labels: list[str] = []
    text: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One image. Never changed in place: `metadata_service.folding.fold` makes the next one.

    `version` counts the writes of this document (0: never written) and is what concurrent
    writers compare; `shape` is the `SHAPE` it was derived in. No field is left out when stored:
    queries rely on their presence.
    """

    image_id: str = msgspec.field(name="_id")
    version: int = 0
    shape: int = 0
    seq: dict[str, int] = {}

    uploaded: Upload | None = None
    planned: Plan | None = None
    inferred: dict[str, Inference] = {}
    augmented: dict[str, Variant] = {}
    annotated: Annotation | None = None
    collected: dict[str, Membership] = {}
    grouped: Grouping | None = None
    failed: dict[str, Failure] = {}
    tombstone: Tombstone | None = None

    # Derived.
    status: Status = "pending"
    ready_at: datetime | None = None
    updated_at: datetime | None = None
    owner: str | None = None
    tags: list[str] = []
    caption: str | None = None
    #: 0 to 5; None: nobody has rated it.
    rating: int | None = None
    favourite: bool = False
    albums: list[str] = []
    #: The group of duplicates that it is one of, and whether it is the one to keep.
    group: str | None = None
    keeper: bool = False
    width: int | None = None
    height: int | None = None
    orientation: Orientation | None = None
    kind: str | None = None
    colours: list[str] = []
    variant_count: int = 0
    #: When it was taken as the camera says (without a zone: as if in UTC).
    taken_at: datetime | None = None
    #: When it was taken, or else uploaded: every picture has a moment.
    moment: datetime | None = None
    camera: str | None = None
    lens: str | None = None
    location: Location | None = None
    megapixels: float | None = None
    palette: list[Shade] = []
    labels: list[Scored] = []
    objects: list[Counted] = []
    #: None: nobody has looked for faces yet.
    faces: int | None = None
    words: Words | None = None
    #: What an index is to find it by; see `metadata_service.traits`.
    traits: list[str] = []

    @property
    def exists(self) -> bool:
        """Whether there is a picture to speak of: uploaded, and not deleted since."""
        return self.uploaded is not None

    @property
    def deleted(self) -> bool:
        """Whether it was deleted and not uploaded again."""
        return self.tombstone is not None and self.uploaded is None
