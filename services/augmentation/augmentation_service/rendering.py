"""One picture and one recipe in, one variant out: what a worker process is asked to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import msgspec
import PIL
from imagesystem.errors import Rejected

from augmentation_service import drawing, pictures, sheets
from augmentation_service.datasets import Annotation, Given, annotated
from augmentation_service.engine import (
    BadLabels,
    BadReceipt,
    Difference,
    Image,
    Labels,
    MovedLabels,
    Receipt,
    Recipe,
    Rules,
    Source,
    TooFewPictures,
    TooLarge,
    apply,
    replay,
    sealed,
)

__all__ = [
    "Job",
    "Other",
    "Rendered",
    "ReplayJob",
    "ReplayMade",
    "Sheet",
    "SheetJob",
    "annotations_of",
    "made_again",
    "prepare",
    "render",
    "sheet",
]


class Other(msgspec.Struct, frozen=True, kw_only=True):
    """A picture to mix in: its file, SHA-256 of that, its labels."""

    data: bytes
    source: str
    given: Given | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to make; `source` is SHA-256 of the picture's bytes, `format` a name in `FORMATS`."""

    recipe: Recipe
    seed: int
    source: str
    variant: int
    format: str
    max_pixels: int
    quality: int | None = None
    given: Given | None = None
    rules: Rules = Rules()
    others: tuple[Other, ...] = ()
    draw: bool = False


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A variant as a file, and how it was made; `labels` are None if there were none given."""

    data: bytes
    media_type: str
    receipt: Receipt
    labels: MovedLabels | None = None


class SheetJob(msgspec.Struct, frozen=True, kw_only=True):
    """Several variants of a picture, from that of `job` on, each fitted into `tile` pixels."""

    job: Job
    variants: int
    tile: int


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """A contact sheet as a file."""

    data: bytes
    media_type: str
    width: int
    height: int


class ReplayJob(msgspec.Struct, frozen=True, kw_only=True):
    """What to make again, and how it shall be sent."""

    receipt: Receipt
    format: str
    max_pixels: int
    quality: int | None = None
    given: Given | None = None
    rules: Rules = Rules()
    others: tuple[Other, ...] = ()


class ReplayMade(msgspec.Struct, frozen=True, kw_only=True):
    """What was made again as a file, whether its pixels are the receipt's, and what differs."""

    data: bytes
    media_type: str
    width: int
    height: int
    exact: bool
    difference: Difference


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
    made, receipt, labels = _made(image, _others(job), job, job.variant)
    if job.draw and labels is not None:
        made = drawing.drawn(made, labels)
    return Rendered(
        data=pictures.encode(made, pictures.FORMATS[job.format], job.quality),
        media_type=pictures.FORMATS[job.format].media_type,
        receipt=receipt,
        labels=labels,
    )


def annotations_of(rendered: Rendered, job: Job) -> list[Annotation]:
    """Return the objects of a variant, as data sets have them."""
    if rendered.labels is None:
        return []
    givens = [job.given or Given(), *(other.given or Given() for other in job.others)]
    size = (rendered.receipt.width, rendered.receipt.height)
    return annotated(rendered.labels, givens, size)


def sheet(data: bytes, asked: SheetJob) -> Sheet:
    """Make several variants and put them on one picture; raises as `render` does."""
    job = asked.job
    image, others = pictures.decode(data, job.max_pixels), _others(job)
    tiles = []
    for variant in range(job.variant, job.variant + asked.variants):
        made, _, labels = _made(image, others, job, variant)
        if job.draw and labels is not None:
            made = drawing.drawn(made, labels)
        tiles.append(sheets.fitted(made, asked.tile))
    page = sheets.page(tiles, asked.tile)
    form = pictures.FORMATS[job.format]
    return Sheet(
        data=pictures.encode(page, form, job.quality),
        media_type=form.media_type,
        width=page.shape[1],
        height=page.shape[0],
    )


def made_again(data: bytes, job: ReplayJob) -> ReplayMade:
    """Make a variant again from its receipt; raises as `render` does, and 400 `invalid_receipt`."""
    image = pictures.decode(data, job.max_pixels)
    labels = _labels(job.given, job.rules, image)
    with _rejecting():
        again = replay(
            job.receipt,
            image,
            labels=labels,
            others=_others(job),
            max_pixels=job.max_pixels,
        )
    form = pictures.FORMATS[job.format]
    return ReplayMade(
        data=pictures.encode(again.image, form, job.quality),
        media_type=form.media_type,
        width=again.image.shape[1],
        height=again.image.shape[0],
        exact=again.exact,
        difference=again.difference,
    )


def _made(
    image: Image, others: list[Source], job: Job, variant: int
) -> tuple[Image, Receipt, MovedLabels | None]:
    with _rejecting():
        made = apply(
            job.recipe,
            image,
            seed=job.seed,
            source=job.source,
            variant=variant,
            labels=_labels(job.given, job.rules, image),
            others=others,
            max_pixels=job.max_pixels,
        )
    receipt = sealed(made.receipt, made.image)
    # What was decoded is part of how it was made.
    receipt = msgspec.structs.replace(
        receipt, platform=receipt.platform | {"pillow": PIL.__version__}
    )
    return made.image, receipt, made.labels


def _labels(given: Given | None, rules: Rules, image: Image) -> Labels | None:
    return None if given is None else given.on((image.shape[1], image.shape[0]), rules)


def _others(job: Job | ReplayJob) -> list[Source]:
    found = []
    for other in job.others:
        image = pictures.decode(other.data, job.max_pixels)
        labels = _labels(other.given, job.rules, image) or Labels()
        found.append(Source(image=image, source=other.source, labels=labels))
    return found


@contextmanager
def _rejecting() -> Iterator[None]:
    """Raise what the engine refuses as `Rejected` 400."""
    try:
        yield
    except TooLarge as error:
        raise _rejected(
            "output_too_large",
            error,
            limit="MAX_PIXELS" if error.limit == "pixels" else error.limit,
            allowed=error.allowed,
            actual=error.actual,
        ) from error
    except BadLabels as error:
        raise _rejected("invalid_labels", error) from error
    except BadReceipt as error:
        raise _rejected("invalid_receipt", error) from error
    except TooFewPictures as error:
        raise _rejected(
            "too_few_pictures", error, limit="pictures", allowed=error.given, actual=error.needed
        ) from error


def _rejected(code: str, error: Exception, **more: Any) -> Rejected:
    return Rejected(400, code, str(error), **more)
