"""What pictures can be narrowed by: one row per field, for parameters and the query language.

Each row gives the parameters of a request (`FILTERS`) and the words before the colon in the query
language (`TERMS`); OpenAPI, the documentation and the tests are made from the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from metadata_service.choices import Choice, Part, Traits
from metadata_service.documents import Orientation
from metadata_service.kinds import Field, Filter
from metadata_service.notations import Area, Colours, Paired
from metadata_service.parameters import COUNT, TEXT
from metadata_service.places import Box, Circle
from metadata_service.queries import Condition
from metadata_service.ranges import Moments, Numbers
from metadata_service.traits import HAS

__all__ = ["FIELDS", "FILTERS", "TERMS", "Filter", "conditions"]

#: The formats that the registry takes, and their media types.
MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
}
Format = Literal["jpeg", "png", "webp", "avif", "gif", "bmp", "tiff"]
MediaType = Literal[
    "image/jpeg", "image/png", "image/webp", "image/avif", "image/gif", "image/bmp", "image/tiff"
]
#: As people may give.
STARS = Annotated[int, Meta(ge=0, le=5)]
ListedStatus = Literal["pending", "ready", "partial", "failed"]
KindName = Literal["photo", "graphic", "document"]

FIELDS: tuple[Field, ...] = (
    Field("owner", "owner", Choice(TEXT), "whose picture it is"),
    Field("tag", "tags", Choice(TEXT, many="all_of", also=True), "has this tag"),
    Field(
        "format",
        "uploaded.media_type",
        Choice(Format, many="any_of", translate=MEDIA_TYPES.__getitem__),
        "format of the original",
    ),
    Field(
        "media_type",
        "uploaded.media_type",
        Choice(MediaType, many="any_of"),
        "media type of the original",
        aliases=("type",),
    ),
    Field("status", "status", Choice(ListedStatus, many="any_of"), "how far the analysis is"),
    Field("kind", "kind", Choice(KindName, many="any_of"), "what kind of picture it looks like"),
    Field("orientation", "orientation", Choice(Orientation), "its shape as a viewer sees it"),
    Field("camera", "camera", Choice(TEXT, many="any_of"), "make and model of the camera"),
    Field("lens", "lens", Choice(TEXT, many="any_of"), "the lens, as the camera names it"),
    Field("filename", "uploaded.filename", Part(TEXT), "a part of the filename", aliases=("name",)),
    Field("colour", "colours", Colours(), "name of a dominant colour (CSS)", aliases=("color",)),
    Field(
        "label",
        "labels",
        Paired(
            "scored",
            float,
            least=0.0,
            most=1.0,
            form="label, or label:score with the least score (0-1)",
        ),
        "was given this label",
    ),
    Field(
        "object",
        "objects",
        Paired(
            "counted",
            int,
            least=1,
            most=1_000_000,
            form="class, or class:count with the least count",
        ),
        "shows such a thing",
    ),
    Field("faces", "faces", Numbers(COUNT), "faces in the picture, as far as anybody has looked"),
    Field("has", "traits", Traits(tuple(HAS)), "has it, or has not"),
    Field("width", "width", Numbers(COUNT), "width in pixels as a viewer sees it"),
    Field("height", "height", Numbers(COUNT), "height in pixels as a viewer sees it"),
    Field("megapixels", "megapixels", Numbers(float), "millions of pixels", aliases=("mp",)),
    Field("bytes", "uploaded.size_bytes", Numbers(COUNT), "size of the original in bytes"),
    Field("frames", "uploaded.frames", Numbers(COUNT), "frames; more than one: it moves"),
    Field("iso", "uploaded.exif.iso", Numbers(COUNT), "sensitivity of the exposure"),
    Field("f_number", "uploaded.exif.f_number", Numbers(float), "aperture", aliases=("aperture",)),
    Field(
        "focal_length",
        "uploaded.exif.focal_length_mm",
        Numbers(float),
        "focal length in millimetres",
    ),
    Field(
        "sharpness",
        "inferred.analysis.result.sharpness",
        Numbers(float),
        "sharpness, see the analysis",
    ),
    Field("rating", "rating", Numbers(STARS), "stars that people gave it, 0 to 5"),
    Field("album", "albums", Choice(TEXT, many="any_of"), "the id of an album that it is in"),
    Field("group", "group", Choice(TEXT, many="any_of"), "the group of duplicates it is one of"),
    Field("uploaded", "uploaded.uploaded_at", Moments(), "uploaded"),
    Field("taken", "taken_at", Moments(), "taken, as the camera says (without a zone: in UTC)"),
    Field("updated", "updated_at", Moments(), "something was last learned about it"),
    Field(
        "near",
        "location",
        Area(Circle.parse, "latitude,longitude,kilometres"),
        "taken around a place",
    ),
    Field(
        "box",
        "location",
        Area(Box.parse, "west,south,east,north in degrees"),
        "taken inside",
    ),
)

FILTERS: dict[str, Filter] = {
    row.name: row for field in FIELDS for row in field.kind.filters(field)
}
#: The query language's words before the colon.
TERMS: dict[str, Field] = {name: field for field in FIELDS for name in (field.name, *field.aliases)}
assert set(get_args(Format)) == set(MEDIA_TYPES)  # noqa: S101  two spellings of one list


def conditions(values: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Return the conditions that the given parameters set; other names are not looked at."""
    return tuple(
        condition
        for row in FILTERS.values()
        if values.get(row.name) is not None
        for condition in row.conditions(values[row.name])
    )
