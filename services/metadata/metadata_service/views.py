"""What the service answers: a document as people and programs see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from imagesystem.events import Exif, Place

from metadata_service.documents import Document, Failure, Inference, Orientation, Status, Variant

__all__ = ["ImageList", "ImageView", "Links", "VariantView", "encode", "image_view"]


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
    `exif.orientation`); `position`: where it was taken, as people say, else as the camera wrote;
    `albums`: the ids of those it is in; `group`: of duplicates, null for most pictures; `kind`, `colours`: from the analysis, strongest colour first;
    `planned`: the tasks that `status` waits for, null before inference has said;
    `inferred`: an answer per task; `failed`: the stages that gave up; `variants`: by variant
    id, left out of lists (`variant_count` says how many).
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
    exif: Exif | None
    planned: list[str] | None
    inferred: dict[str, Inference]
    failed: dict[str, Failure]
    variant_count: int
    variants: dict[str, VariantView] | msgspec.UnsetType = msgspec.UNSET
    links: Links


class ImageList(msgspec.Struct, frozen=True, kw_only=True):
    """A page: `count` items; `next`: the cursor of the page after it, null on the last."""

    items: list[ImageView]
    next: str | None
    count: int


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def image_view(document: Document, *, variants: bool = True) -> ImageView:
    """Return the view of a document that has an upload (`Document.exists`)."""
    upload = document.uploaded
    assert upload is not None  # noqa: S101  callers answer 404 or 410 before
    edited, image_id = document.annotated, document.image_id
    return ImageView(
        id=image_id,
        owner=upload.owner,
        status=document.status,
        filename=upload.filename,
        media_type=upload.media_type,
        size_bytes=upload.size_bytes,
        width=document.width or upload.width,
        height=document.height or upload.height,
        orientation=document.orientation or "square",
        frames=upload.frames,
        sha256=upload.sha256,
        uploaded_at=upload.uploaded_at,
        updated_at=document.updated_at or upload.uploaded_at,
        ready_at=document.ready_at,
        tags=document.tags,
        caption=document.caption,
        rating=document.rating,
        favourite=document.favourite,
        position=_position(document),
        albums=document.albums,
        group=document.group,
        annotated_at=edited.annotated_at if edited else None,
        kind=document.kind,
        colours=document.colours,
        exif=upload.exif,
        planned=document.planned.tasks if document.planned else None,
        inferred=document.inferred,
        failed=document.failed,
        variant_count=document.variant_count,
        variants=_variants(document.augmented) if variants else msgspec.UNSET,
        links=Links(
            image=f"/image/images/{image_id}",
            thumbnail=f"/image/images/{image_id}?width=320",
            metadata=f"/metadata/images/{image_id}",
        ),
    )


def _position(document: Document) -> Place | None:
    if document.location is None:
        return None
    longitude, latitude = document.location.coordinates
    return Place(latitude=latitude, longitude=longitude)


def _variants(augmented: dict[str, Variant]) -> dict[str, VariantView]:
    return {
        variant_id: VariantView(
            task_id=variant.task_id,
            media_type=variant.media_type,
            width=variant.width,
            height=variant.height,
            augmented_at=variant.augmented_at,
            receipt=_decode(variant.receipt),
            labels=None if variant.labels is None else _decode(variant.labels),
        )
        for variant_id, variant in augmented.items()
    }
