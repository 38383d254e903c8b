"""HTTP of what looks alike: parse, call, answer."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from litestar import MediaType, Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, SkipValidation

from metadata_service.library import Library
from metadata_service.openapi import operation
from metadata_service.parameters import Parameter, read
from metadata_service.settings import Settings
from metadata_service.similarity.bodies import content_type, picture_in, text_in
from metadata_service.similarity.embedder import Embedder
from metadata_service.similarity.examples import example_of, example_operation, given_vector
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.vectors import Space, Vector
from metadata_service.views import LISTED, ImageView, image_view

__all__ = ["ROUTES", "provide_embedder", "provide_gallery"]

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


#: Media types of bodies that are a picture or bring one.
PICTURES = ("image/", "application/octet-stream", "multipart/form-data")


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
    request_max_body_size=None,  # see `similarity.bodies`
    operation_class=example_operation(PARAMETERS),
    responses=SAID,
    summary="Pictures that look like an example",
    tags=["similar"],
)
async def similar_to_example(
    request: AnyRequest,
    gallery: NamedDependency[SkipValidation[Gallery]],
    library: NamedDependency[SkipValidation[Library]],
    embedder: NamedDependency[SkipValidation[Embedder]],
    settings: NamedDependency[SkipValidation[Settings]],
) -> Response[bytes]:
    """Return the pictures nearest to a picture, to one that is here, or to a vector.

    A picture is the body itself (`image/*`) or the field `file` of a form; it is not kept.
    """
    given = read(request.query_params.multi_items(), PARAMETERS)
    kind = content_type(request)
    if kind.startswith(PICTURES):
        async with picture_in(request, settings.max_upload_bytes) as pieces:
            space, vector = await embedder.picture(pieces)
        if not gallery.require(space):
            return _listed([], space)
        return await _answer(gallery, library, space, vector, given)
    if kind not in ("application/json", ""):
        raise Rejected(
            415,
            "unsupported_media_type",
            "send a picture, a form with one, or JSON with an image_id or a vector",
            allowed="image/*, multipart/form-data, application/json",
            actual=kind[:100],
        )
    example = example_of(await text_in(request))
    if example.image_id is not None:
        image_id = parse_image_id(example.image_id)
        space, vector = await _of_image(gallery, library, image_id)
        return await _answer(gallery, library, space, vector, given, but=image_id)
    vector = given_vector(example)
    space = Space(example.model or "", example.model_version or "", len(vector))
    return await _answer(gallery, library, space, vector, given)


ROUTES = [similar_images, similar_to_example]


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
    return _listed(items, space)


def _listed(items: list[dict[str, Any]], space: Space) -> Response[bytes]:
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


def provide_embedder(state: State) -> Embedder:
    """Return what the lifespan opened."""
    embedder: Embedder = state.embedder
    return embedder
