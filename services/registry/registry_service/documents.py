"""What clients are told about an upload, as JSON."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

import msgspec
from imagesystem.errors import ImageSystemError, Rejected
from imagesystem.events import Deleted, Exif
from imagesystem.problems import STATUS, Problem

from registry_service.uploads import Accepted

__all__ = [
    "BatchDocument",
    "BatchResult",
    "DeletionDocument",
    "ImageDocument",
    "Links",
    "image_document",
    "problem_of",
]


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where the picture and everything known about it is served: paths at the ingress."""

    image: str
    metadata: str


class ImageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An image as it was announced; `duplicate`: it was known before and nothing changed.

    `width`, `height`: pixels as stored, before EXIF orientation; `frames`: of an animation, or
    pages of a TIFF.
    """

    id: str
    duplicate: bool
    filename: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    frames: int
    sha256: str
    tags: list[str]
    uploaded_at: datetime
    owner: str
    exif: Exif | None
    links: Links


class BatchResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one file: the status it would have had alone, and `image` or `problem`."""

    filename: str
    status: int
    image: ImageDocument | None = None
    problem: Problem | None = None


class BatchDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One result per file, in the order they were sent, and how many of each kind."""

    accepted: int
    duplicates: int
    rejected: int
    results: list[BatchResult]


class DeletionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The tombstone that stands; what it makes void is purged soon after."""

    id: str
    deleted_at: datetime
    reason: str

    @classmethod
    def of(cls, tombstone: Deleted) -> DeletionDocument:
        """Return the document of a tombstone."""
        return cls(id=tombstone.image_id, deleted_at=tombstone.deleted_at, reason=tombstone.reason)


def metadata_path(image_id: str) -> str:
    """Return where everything known about the image is served."""
    return f"/metadata/images/{image_id}"


def image_document(accepted: Accepted) -> ImageDocument:
    """Return the document of an upload."""
    fact = accepted.uploaded
    return ImageDocument(
        id=fact.image_id,
        duplicate=accepted.duplicate,
        filename=fact.filename,
        media_type=fact.media_type,
        size_bytes=fact.size_bytes,
        width=fact.width,
        height=fact.height,
        frames=fact.frames,
        sha256=fact.sha256,
        tags=fact.tags,
        uploaded_at=fact.uploaded_at,
        owner=fact.owner,
        exif=fact.exif,
        links=Links(image=f"/image/images/{fact.image_id}", metadata=metadata_path(fact.image_id)),
    )


def problem_of(error: ImageSystemError) -> Problem:
    """Return the problem of one file of a batch, as it would have been answered alone."""
    if isinstance(error, Rejected):
        status = error.status
        limit, allowed, actual = error.limit, error.allowed, error.actual
    else:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
        limit = allowed = actual = None
    return Problem(
        type=f"urn:image-system:problem:{error.code}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=error.code,
        detail=error.message,
        limit=limit,
        allowed=allowed,
        actual=actual,
    )
