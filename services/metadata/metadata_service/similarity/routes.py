"""HTTP of what looks alike: parse, call, answer."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import msgspec
import numpy as np
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import SerializationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, SkipValidation

from metadata_service.library import Library
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.vectors import MAX_DIMENSIONS, Space, Vector, unit
from metadata_service.views import LISTED, ImageView, image_view

__all__ = ["ROUTES", "provide_gallery"]

AnyRequest = Request[Any, Any, Any]
LIMIT = Annotated[int, msgspec.Meta(ge=1, le=1000)]
COSINE = Annotated[float, msgspec.Meta(ge=-1, le=1)]
#: Pictures that are gone by the time they are shown are made up for by so many more.
SPARE = 8
PARAMETERS: dict[str, Parameter] = {
    row.name: row
    for row in (
        Parameter(name="limit", type=LIMIT, description="pictures at most (1000)", default=20),
        Parameter(
            name="threshold",
            type=COSINE,
            description="least cosine: 1 is the same, 0 has nothing in common",
            default=-1.0,
        ),
    )
}
_encode = msgspec.json.Encoder().encode


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for: a picture that is here (`image_id`), or a vector of a model.

    `vector`: numbers, or little-endian float32 in base64, as `POST /inference/embedding` answers
    (its `model`, `model_version` and `result.vector`); of any length, it is scaled to 1.
    """

    image_id: str | None = None
    vector: list[float] | str | None = None
    model: str | None = None
    model_version: str | None = None


class Alike(msgspec.Struct, frozen=True, kw_only=True):
    """A picture, and how near it is: the cosine between the vectors."""

    cosine: float
    image: ImageView


class AlikeList(msgspec.Struct, frozen=True, kw_only=True):
    """The nearest pictures, nearest first; `model` and `model_version` made the vectors."""

    items: list[Alike]
    model: str
    model_version: str
    count: int


SAID = {200: ResponseSpec(AlikeList, generate_examples=False, description="Nearest first")}


@get(
    "/metadata/images/{image_id:str}/similar",
    operation_class=operation(PARAMETERS),
    responses=SAID,
    summary="Pictures that look like one",
    tags=["similar"],
)
async def similar_images(
    request: AnyRequest,
    image_id: FromPath[str],
    gallery: NamedDependency[SkipValidation[Gallery]],
    library: NamedDependency[SkipValidation[Library]],
) -> Response[bytes]:
    """Return the pictures whose vectors are nearest to that of a picture, itself left out."""
    image_id = parse_image_id(image_id)
    given = read(request.query_params.multi_items(), PARAMETERS)
    space, vector = await _of_image(gallery, library, image_id)
    return await _answer(gallery, library, space, vector, given, but=image_id)


@post(
    "/metadata/similar",
    status_code=200,
    operation_class=operation(PARAMETERS),
    responses=SAID,
    summary="Pictures that look like an example",
    tags=["similar"],
)
async def similar_to_example(
    request: AnyRequest,
    gallery: NamedDependency[SkipValidation[Gallery]],
    library: NamedDependency[SkipValidation[Library]],
) -> Response[bytes]:
    """Return the pictures whose vectors are nearest to a vector, or to that of a picture."""
    given = read(request.query_params.multi_items(), PARAMETERS)
    example = await _example(request)
    if example.image_id is not None:
        image_id = parse_image_id(example.image_id)
        space, vector = await _of_image(gallery, library, image_id)
        return await _answer(gallery, library, space, vector, given, but=image_id)
    vector = _vector(example.vector)
    space = Space(example.model or "", example.model_version or "", len(vector))
    return await _answer(gallery, library, space, vector, given)


ROUTES = [similar_images, similar_to_example]


async def _example(request: AnyRequest) -> Example:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith(("image/", "multipart/", "application/octet-stream")):
        raise Rejected(
            415,
            "send_a_vector",
            "pictures are not taken here: POST it to /inference/embedding, and send `model`, "
            "`model_version` and `result.vector` of the answer as JSON",
            allowed="application/json",
            actual=kind,
        )
    try:
        example = msgspec.convert(await request.json(), Example)
    except (msgspec.MsgspecError, SerializationException) as error:
        raise Rejected(400, "invalid_request", str(error)) from error
    if (example.image_id is None) == (example.vector is None):
        raise Rejected(400, "invalid_request", "give either `image_id` or `vector`")
    if example.vector is not None and not (example.model and example.model_version):
        raise Rejected(
            400, "invalid_request", "`vector` needs the `model` and `model_version` that made it"
        )
    return example


def _vector(given: list[float] | str | None) -> Vector:
    try:
        if isinstance(given, str):
            raw = base64.b64decode(given, validate=True)
            values = np.frombuffer(raw, dtype="<f4").astype(np.float64)
        else:
            values = np.array(given, dtype=np.float64)
    except (binascii.Error, ValueError, OverflowError) as error:
        raise Rejected(400, "invalid_vector", f"vector: {error}") from error
    if not 0 < len(values) <= MAX_DIMENSIONS:
        raise Rejected(
            400,
            "limit_exceeded",
            f"a vector has 1 to {MAX_DIMENSIONS} dimensions",
            limit="dimensions",
            allowed=MAX_DIMENSIONS,
            actual=len(values),
        )
    vector = unit(values)
    if vector is None:
        raise Rejected(400, "invalid_vector", "the vector has no direction: it is 0, or not finite")
    return vector


async def _of_image(gallery: Gallery, library: Library, image_id: str) -> tuple[Space, Vector]:
    found = gallery.vector(image_id)
    if found is not None:
        return found
    row = await library.picture(image_id, ("status", "failed", "inferred.embedding.model"))
    failure = row["failed"].get("embedding")
    if failure is not None:
        why = f"its embedding failed: {failure['message']}"
    elif row["status"] == "pending" or row.get("inferred", {}).get("embedding"):
        why = "it is being analysed; try again in a moment"
    else:
        why = f"ask for it: POST /inference/images/{image_id}/embedding"
    raise Rejected(409, "no_embedding", f"image {image_id} has no embedding yet: {why}")


async def _answer(
    gallery: Gallery,
    library: Library,
    space: Space,
    vector: Vector,
    given: dict[str, Any],
    *,
    but: str | None = None,
) -> Response[bytes]:
    limit, threshold = given["limit"], given["threshold"]
    found = await gallery.nearest(space, vector, limit + SPARE)
    near = [each for each in found if each.cosine >= threshold and each.image_id != but]
    rows = await library.pictures([each.image_id for each in near])
    items = [
        {"cosine": round(each.cosine, 6), "image": image_view(row, LISTED)}
        for each in near
        if (row := rows.get(each.image_id)) is not None
    ][:limit]
    answer = {
        "items": items,
        "model": space.model,
        "model_version": space.model_version,
        "count": len(items),
    }
    return Response(
        _encode(answer), media_type=MediaType.JSON, headers={"cache-control": "private, no-cache"}
    )


def provide_gallery(state: State) -> Gallery:
    """Return the gallery that the lifespan opened."""
    gallery: Gallery = state.gallery
    return gallery
