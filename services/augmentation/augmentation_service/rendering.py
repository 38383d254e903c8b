"""One picture and one recipe in, one variant out: what a worker process is asked to do."""

from __future__ import annotations

import cv2
import msgspec
import PIL
from imagesystem.errors import Rejected

from augmentation_service import pictures
from augmentation_service.engine import (
    BadLabels,
    Labels,
    MovedLabels,
    Receipt,
    Recipe,
    TooFewPictures,
    TooLarge,
    apply,
    sealed,
)

__all__ = ["Job", "Rendered", "prepare", "render"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to make; `source` is SHA-256 of the picture's bytes, `format` a name in `FORMATS`."""

    recipe: Recipe
    seed: int
    source: str
    variant: int
    format: str
    max_pixels: int
    quality: int | None = None
    labels: Labels | None = None


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A variant as a file, and how it was made; `labels` are None if there were none given."""

    data: bytes
    media_type: str
    receipt: Receipt
    labels: MovedLabels | None = None


def prepare() -> None:
    """Get a worker process ready."""
    cv2.setNumThreads(1)  # there is a worker per core
    pictures.prepare()


def render(data: bytes, job: Job) -> Rendered:
    """Decode, carry out the recipe, encode.

    Raises what `pictures.decode` raises, and `Rejected` 400: `output_too_large`,
    `invalid_labels`, `too_few_pictures`.
    """
    image = pictures.decode(data, job.max_pixels)
    try:
        made = apply(
            job.recipe,
            image,
            seed=job.seed,
            source=job.source,
            variant=job.variant,
            labels=job.labels,
            max_pixels=job.max_pixels,
        )
    except TooLarge as error:
        raise Rejected(
            400,
            "output_too_large",
            str(error),
            limit="MAX_PIXELS" if error.limit == "pixels" else error.limit,
            allowed=error.allowed,
            actual=error.actual,
        ) from error
    except BadLabels as error:
        raise Rejected(400, "invalid_labels", str(error)) from error
    except TooFewPictures as error:
        raise Rejected(
            400,
            "too_few_pictures",
            str(error),
            limit="pictures",
            allowed=error.given,
            actual=error.needed,
        ) from error
    receipt = sealed(made.receipt, made.image)
    return Rendered(
        data=pictures.encode(made.image, pictures.FORMATS[job.format], job.quality),
        media_type=pictures.FORMATS[job.format].media_type,
        # What was decoded is part of how it was made.
        receipt=msgspec.structs.replace(
            receipt, platform=receipt.platform | {"pillow": PIL.__version__}
        ),
        labels=made.labels,
    )
