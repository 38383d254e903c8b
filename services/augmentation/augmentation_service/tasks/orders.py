"""What a client may order as a task, and the checks that need no other system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id

from augmentation_service import requests
from augmentation_service.edits import Convert, Edit, FormatName, Resize, Side
from augmentation_service.engine import Recipe, Rules
from augmentation_service.labels import LabelsOrder
from augmentation_service.mixing import others_needed
from augmentation_service.requests import Quality, Seed
from augmentation_service.settings import Settings
from augmentation_service.tasks.documents import Task

__all__ = [
    "BatchOrder",
    "ScaleOrder",
    "ScaleOrderOfImage",
    "TaskOrder",
    "TaskOrderOfFiles",
    "chains_of",
    "check_chain",
    "check_document",
    "check_pictures",
    "check_size",
    "images_of",
    "query_of",
    "scale_chain",
    "scale_from_form",
    "task_from_form",
]

MAX_CHAIN = 32
#: What a task may have as JSON, all told: NATS takes messages of 1 MiB, headers included.
_MAX_DOCUMENT_BYTES = 900 * 1024
_MAX_QUERY_VALUES = 200
QueryValue: TypeAlias = str | int | float | bool
#: Fields of a form that are JSON; a recipe may be a name as well.
_JSON_FIELDS = ("labels", "rules")


class TaskOrderOfFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`variants` of every picture that comes with the request, each with the recipe.

    `recipe`: steps, or the name of a recipe that is kept, as `name` or `name@3`. `labels` of the
    pictures are moved along; `rules` say which of them are worth keeping.
    """

    recipe: Any
    variants: Annotated[int, msgspec.Meta(ge=1)] = 1
    seed: Seed = 0
    format: FormatName = "png"
    quality: Quality | None = None
    labels: LabelsOrder | None = None
    rules: Rules = Rules()


class TaskOrder(TaskOrderOfFiles, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`variants` of every image: of those with `ids`, or those that `query` finds.

    `query` has the filters of `GET /metadata/images/list`, each a value or a list of values.
    """

    ids: list[str] | None = None
    query: dict[str, QueryValue | list[QueryValue]] | None = None


class BatchOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every one of `operations` on every image; a list of operations is done one by one."""

    ids: list[str]
    operations: list[Edit | list[Edit]]
    format: FormatName = "png"
    quality: Quality | None = None


class ScaleOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture that comes with the request, in another size."""

    width: Side | None = None
    height: Side | None = None
    preserve_ratio: bool = True
    format: FormatName = "png"
    quality: Quality | None = None


class ScaleOrderOfImage(ScaleOrder, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image that was uploaded before, in another size."""

    image_id: str


def scale_from_form(fields: Mapping[str, str]) -> ScaleOrder:
    """Return the order in the fields of a form; raises `Rejected` 400 `invalid_request`."""
    return requests.converted(dict(fields), ScaleOrder, strict=False)


def task_from_form(fields: Mapping[str, str]) -> TaskOrderOfFiles:
    """Return the order in the fields of a form; raises `Rejected` 400 `invalid_request`."""
    values: dict[str, Any] = dict(fields)
    if "recipe" in values:
        values["recipe"] = requests.recipe_text(values["recipe"])
    for name in _JSON_FIELDS:
        if name in values:
            values[name] = requests.decoded(values[name], f"the field `{name}`")
    return requests.converted(values, TaskOrderOfFiles, strict=False)


def query_of(query: Mapping[str, QueryValue | list[QueryValue]]) -> dict[str, list[str]]:
    """Return a query as metadata takes it: texts, each filter with all its values.

    Raises `Rejected` 400; whether there are such filters is for metadata to say.
    """
    found = {
        name: [_text(value) for value in (values if isinstance(values, list) else [values])]
        for name, values in query.items()
    }
    if sum(map(len, found.values())) > _MAX_QUERY_VALUES or any(
        len(text) > 1000 for name, values in found.items() for text in (name, *values)
    ):
        raise requests.invalid(f"query: {_MAX_QUERY_VALUES} values of 1000 characters at most")
    return found


def _text(value: QueryValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_document(task: Task) -> None:
    """Raise `Rejected` 413 `task_too_large` for a task that cannot be written down."""
    size = len(msgspec.json.encode(task))
    if size > _MAX_DOCUMENT_BYTES:
        raise Rejected(
            413,
            "task_too_large",
            f"written down, the task has {size} bytes",
            limit="task document bytes",
            allowed=_MAX_DOCUMENT_BYTES,
            actual=size,
        )


def check_pictures(recipe: Recipe, pictures: int) -> None:
    """Raise `Rejected` 400 `too_few_pictures` if the recipe mixes more than there are."""
    needed = others_needed(recipe) + 1
    if pictures < needed:
        raise Rejected(
            400,
            "too_few_pictures",
            f"the recipe mixes {needed} pictures, the task has {pictures}",
            limit="pictures",
            allowed=pictures,
            actual=needed,
        )


def images_of(ids: list[str]) -> list[str]:
    """Return the ids in canonical form; raises `Rejected` 400."""
    if not ids:
        raise Rejected(400, "no_images", "a task needs at least one image: `ids` is empty")
    images = [parse_image_id(text) for text in ids]
    seen: set[str] = set()
    for place, image_id in enumerate(images):
        if image_id in seen:
            raise Rejected(400, "repeated_image", f"ids[{place}]: {image_id} came before")
        seen.add(image_id)
    return images


def chains_of(order: BatchOrder) -> list[list[Edit]]:
    """Return the operations to do for each result of an image; raises `Rejected` 400."""
    if not order.operations:
        raise Rejected(400, "no_operations", "a batch needs at least one of `operations`")
    chains = [entry if isinstance(entry, list) else [entry] for entry in order.operations]
    for place, chain in enumerate(chains):
        check_chain(chain, f"operations[{place}]")
    return chains


def check_chain(chain: list[Edit], path: str) -> None:
    """Raise `Rejected` 400 for what the fields' types do not tell."""
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise Rejected(
            400,
            "too_many_steps" if chain else "no_operations",
            f"{path} has {len(chain)} operations, 1 to {MAX_CHAIN} are allowed",
            limit=path,
            allowed=MAX_CHAIN,
            actual=len(chain),
        )
    for edit in chain:
        if isinstance(edit, Resize) and edit.width is None and edit.height is None:
            raise requests.invalid(f"{path}: resize needs a `width` or a `height`")
    if any(isinstance(edit, Convert) for edit in chain[:-1]):
        raise requests.invalid(f"{path}: convert is the last operation of a list")


def scale_chain(order: ScaleOrder, max_pixels: int) -> list[Edit]:
    """Return the one operation of a scale task; raises `Rejected` 400."""
    width, height = order.width, order.height
    chain: list[Edit] = [Resize(width=width, height=height, preserve_ratio=order.preserve_ratio)]
    check_chain(chain, "scale")
    if width and height and not order.preserve_ratio and width * height > max_pixels:
        raise Rejected(
            400,
            "output_too_large",
            f"{width} x {height} pixels are too many",
            limit="MAX_PIXELS",
            allowed=max_pixels,
            actual=width * height,
        )
    return chain


def check_size(images: int, variants: int, settings: Settings) -> None:
    """Raise `Rejected` 400 `task_too_large` if a task has more than is allowed of anything."""
    limits = (
        ("MAX_TASK_IMAGES", "images", settings.max_task_images, images),
        ("MAX_TASK_VARIANTS", "variants", settings.max_task_variants, variants),
        ("MAX_TASK_UNITS", "units", settings.max_task_units, images * variants),
    )
    for limit, what, allowed, actual in limits:
        if actual > allowed:
            raise Rejected(
                400,
                "task_too_large",
                f"the task has {actual} {what}, {allowed} are allowed",
                limit=limit,
                allowed=allowed,
                actual=actual,
            )
