"""What the service answers: a document as people and programs see it.

A view is made of the document as plain data, as the store reads it, and goes to JSON in one step:
no struct is made on the way. `ImageView` says what comes out, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from imagesystem.errors import Rejected
from imagesystem.events import Exif, Place

from metadata_service.documents import (
    Counted,
    Document,
    Failure,
    Inference,
    Orientation,
    Scored,
    Status,
)
from metadata_service.queries import Row
from metadata_service.search.words import Match

__all__ = [
    "LISTED",
    "WHOLE",
    "ImageList",
    "ImageView",
    "Links",
    "Selection",
    "VariantView",
    "encode",
    "image_view",
    "matched",
    "plain",
]


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where to find the image: paths at the ingress."""

    image: str
    thumbnail: str
    metadata: str


class VariantView(msgspec.Struct, frozen=True, kw_only=True):
    """An augmented picture and the receipt that reproduces it."""

    task_id: str
    media_type: str
    width: int
    height: int
    augmented_at: datetime
    receipt: dict[str, Any]
    labels: dict[str, Any] | None


class ImageView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about one image.

    `width`, `height`: pixels as a viewer sees it (the original may lie on its side, see
    `exif.orientation`); `kind`, `colours`: from the analysis, strongest colour first;
    `position`: where it was taken, as people say, else as the camera wrote; `albums`: the ids
    of those it is in; `group`: of duplicates, null for most pictures; `taken_at`: as the camera
    says (without a zone: in UTC); `labels`, `objects`, `faces`: in short what `inferred` says
    in full; `planned`: the tasks that `status` waits for, null before inference has said;
    `inferred`: an answer per task (of an embedding the vector only when asked for with
    `fields`); `failed`: the stages that gave up; `variants`: by variant id, left out of lists
    (`variant_count` says how many); `score`, `matches`: how well it fits the words of a search,
    and where they were found.
    """

    id: str
    owner: str
    status: Status
    filename: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    orientation: Orientation
    frames: int
    sha256: str
    uploaded_at: datetime
    updated_at: datetime
    ready_at: datetime | None
    taken_at: datetime | None
    tags: list[str]
    caption: str | None
    rating: int | None
    favourite: bool
    position: Place | None
    albums: list[str]
    group: str | None
    annotated_at: datetime | None
    kind: str | None
    colours: list[str]
    labels: list[Scored]
    objects: list[Counted]
    faces: int | None
    camera: str | None
    exif: Exif | None
    planned: list[str] | None
    inferred: dict[str, Inference]
    failed: dict[str, Failure]
    variant_count: int
    variants: dict[str, VariantView] | msgspec.UnsetType = msgspec.UNSET
    links: Links
    score: float | msgspec.UnsetType = msgspec.UNSET
    matches: list[Match] | msgspec.UnsetType = msgspec.UNSET


class ImageList(msgspec.Struct, frozen=True, kw_only=True):
    """A page: `count` items; `next`: the cursor of the page after it, null on the last.

    `total`: how many there are on all pages, where asked for; null if that are more than can be
    counted. `ranked`: where too many have the words that are looked for, and the best come first:
    how many of the newest were looked at, these pages are of them.
    """

    items: list[ImageView]
    next: str | None
    count: int
    total: int | msgspec.UnsetType | None = msgspec.UNSET
    ranked: int | msgspec.UnsetType = msgspec.UNSET


encode = msgspec.json.Encoder().encode


def plain(document: Document) -> Row:
    """Return the document as plain data, as a store reads it."""
    row: Row = msgspec.to_builtins(document, builtin_types=(datetime, bytes))
    return row


def _at(path: str) -> Callable[[Row], Any]:
    names = path.split(".")
    if len(names) == 1:
        name = names[0]
        return lambda row: row.get(name)
    section, field = names

    def found(row: Row) -> Any:
        held = row.get(section)
        return None if held is None else held.get(field)

    return found


def _links(row: Row) -> Row:
    image_id = row["_id"]
    return {
        "image": f"/image/images/{image_id}",
        "thumbnail": f"/image/images/{image_id}?width=320",
        "metadata": f"/metadata/images/{image_id}",
    }


def _position(row: Row) -> Row | None:
    location = row.get("location")
    if location is None:
        return None
    longitude, latitude = location["coordinates"]
    return {"latitude": latitude, "longitude": longitude}


def _variants(row: Row) -> Row | None:
    return {
        variant_id: {
            "task_id": variant["task_id"],
            "media_type": variant["media_type"],
            "width": variant["width"],
            "height": variant["height"],
            "augmented_at": variant["augmented_at"],
            "receipt": _raw(variant["receipt"]),
            "labels": None if variant["labels"] is None else _raw(variant["labels"]),
        }
        for variant_id, variant in (row.get("augmented") or {}).items()
    }


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


#: Where what a view says is in the document, in the order of `ImageView`.
PATHS: dict[str, str] = {
    "id": "_id",
    "owner": "owner",
    "status": "status",
    "filename": "uploaded.filename",
    "media_type": "uploaded.media_type",
    "size_bytes": "uploaded.size_bytes",
    "width": "width",
    "height": "height",
    "orientation": "orientation",
    "frames": "uploaded.frames",
    "sha256": "uploaded.sha256",
    "uploaded_at": "uploaded.uploaded_at",
    "updated_at": "updated_at",
    "ready_at": "ready_at",
    "taken_at": "taken_at",
    "tags": "tags",
    "caption": "caption",
    "rating": "rating",
    "favourite": "favourite",
    "position": "location",
    "albums": "albums",
    "group": "group",
    "annotated_at": "annotated.annotated_at",
    "kind": "kind",
    "colours": "colours",
    "labels": "labels",
    "objects": "objects",
    "faces": "faces",
    "camera": "camera",
    "exif": "uploaded.exif",
    "planned": "planned.tasks",
    "inferred": "inferred",
    "failed": "failed",
    "variant_count": "variant_count",
    "variants": "augmented",
    "links": "_id",
}
_MADE: dict[str, Callable[[Row], Any]] = {
    "links": _links,
    "position": _position,
    "variants": _variants,
}
_MAKE: dict[str, Callable[[Row], Any]] = {
    name: _MADE.get(name) or _at(path) for name, path in PATHS.items()
}
#: What may be asked for in part, as `inferred.labels` or `exif.iso`.
PARTS = frozenset({"inferred", "failed", "exif"})
VECTOR = "inferred.embedding.result.vector"
_MOST_FIELDS, _DEEPEST = 50, 6


class Selection(msgspec.Struct, frozen=True):
    """Which fields of a view are wanted; `paths`: what has to be read for them."""

    names: tuple[str, ...]
    paths: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Return what `fields=a,b,c.d` asks for; raises `Rejected` 400 `invalid_parameter`."""
        wanted = dict.fromkeys(part.strip() for part in text.split(","))
        if len(wanted) > _MOST_FIELDS:
            raise Rejected(400, "invalid_parameter", f"fields: {_MOST_FIELDS} at most")
        paths = set()
        for field in wanted:
            name, dot, rest = field.partition(".")
            parts = rest.split(".")
            fits = name in PATHS and (
                not dot
                or (
                    name in PARTS
                    and len(parts) < _DEEPEST
                    and all(part.replace("_", "a").isalnum() and part.isascii() for part in parts)
                )
            )
            if not fits:
                raise Rejected(
                    400,
                    "invalid_parameter",
                    f"fields: there is no field {field[:100]!r}",
                    allowed=", ".join(PATHS)
                    + "; and parts of "
                    + ", ".join(sorted(PARTS))
                    + " as exif.iso",
                )
            paths.add(PATHS[name] + dot + rest)
        names = tuple(dict.fromkeys(field.partition(".")[0] for field in wanted))
        # A database refuses to read a part besides the whole.
        above = {path for path in paths if not _inside(path, paths)}
        return cls(names, tuple(sorted(above)))

    @property
    def vector(self) -> bool:
        """Whether the vector of the embedding is asked for by name."""
        return VECTOR in self.paths


def _inside(path: str, paths: set[str]) -> bool:
    parts = path.split(".")
    return any(".".join(parts[:end]) in paths for end in range(1, len(parts)))


LISTED = Selection(tuple(name for name in PATHS if name != "variants"), ())
WHOLE = Selection(tuple(PATHS), ())


def image_view(row: Row, selection: Selection = WHOLE) -> Row:
    """Return the view of a document that has an upload."""
    view = {name: _MAKE[name](row) for name in selection.names}
    inferred = view.get("inferred")
    if inferred and not selection.vector and "embedding" in inferred:
        result = inferred["embedding"].get("result")
        if isinstance(result, dict) and "vector" in result:
            kept = {name: part for name, part in result.items() if name != "vector"}
            view["inferred"] = inferred | {"embedding": inferred["embedding"] | {"result": kept}}
    return view


def matched(view: Row, score: float, matches: Sequence[Match]) -> Row:
    """Return the view of a hit, with how well it fits and why."""
    return view | {"score": score, "matches": list(matches)}
