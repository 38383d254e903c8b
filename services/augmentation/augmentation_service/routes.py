"""HTTP: parse, call, answer."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec
from imagesystem.errors import Rejected
from litestar import MediaType, Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from augmentation_service.answers import ReplayAnswer, answer, replay_answer, sheet_answer
from augmentation_service.descriptions import Catalogue
from augmentation_service.gallery import Gallery
from augmentation_service.openapi import PreviewOperation, ReplayOperation
from augmentation_service.rendering import Sheet
from augmentation_service.shelf import KeptRecipe, Shelf
from augmentation_service.studio import Asked, Studio

__all__ = ["ROUTES"]

AnyRequest = Request[Any, Any, Any]
GivenStudio = NamedDependency[SkipValidation[Studio]]
GivenShelf = NamedDependency[SkipValidation[Shelf]]
GivenGallery = NamedDependency[SkipValidation[Gallery]]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=200)]
Cursor = Annotated[int, QueryParameter(name="cursor", ge=0, le=2**63 - 1)]
Version = Annotated[int | None, QueryParameter(name="version", ge=1, le=10**9)]


class RecipeOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipe to keep, and what it is for."""

    recipe: Any
    description: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


class RecipeList(msgspec.Struct, frozen=True, kw_only=True):
    """The latest versions of recipes, a page of them; `next_cursor` is None on the last one."""

    items: list[KeptRecipe]
    next_cursor: int | None


class RecipeVersions(msgspec.Struct, frozen=True, kw_only=True):
    """All versions of a recipe, oldest first."""

    name: str
    versions: list[KeptRecipe]


@get(
    "/augmentation/operations",
    responses={200: ResponseSpec(Catalogue, generate_examples=False, description="All operations")},
    summary="What can be done to a picture",
    tags=["operations"],
)
async def list_operations(
    request: AnyRequest, catalogue: NamedDependency[SkipValidation[Catalogue]]
) -> Response[bytes]:
    """Return every operation with the JSON Schema of its parameters, and all policies."""
    _no_query(request)
    return _cacheable(request, msgspec.json.encode(catalogue), MediaType.JSON)


@get(
    "/augmentation/operations/{name:str}/example",
    summary="What an operation makes of a picture",
    tags=["operations"],
)
async def show_example(
    name: FromPath[str], request: AnyRequest, gallery: GivenGallery
) -> Response[bytes]:
    """Return the built-in sample, and beside it what the operation makes of it: WebP."""
    _no_query(request)
    return _cacheable(request, await gallery.example(name), "image/webp")


@post(
    "/augmentation/preview",
    status_code=200,
    request_max_body_size=None,  # the body is counted as it is read
    operation_class=PreviewOperation,
    summary="One variant of one picture now, or a contact sheet of several",
    tags=["previews"],
)
async def preview(request: AnyRequest, studio: GivenStudio) -> Response[bytes]:
    """Make a variant: of an image by its id (JSON), or of a picture that is sent (a form)."""
    made = await studio.preview(_asked(request))
    return sheet_answer(made) if isinstance(made, Sheet) else answer(made, request.accept)


@post(
    "/augmentation/replay",
    status_code=200,
    request_max_body_size=None,  # the body is counted as it is read
    operation_class=ReplayOperation,
    responses={
        200: ResponseSpec(ReplayAnswer, generate_examples=False, description="Whether it is exact")
    },
    summary="A variant made again from its receipt",
    tags=["previews"],
)
async def replay(request: AnyRequest, studio: GivenStudio) -> Response[bytes]:
    """Make a variant again, and say whether it is the same: `receipt`, and `image_id` or `file`."""
    made, same_source = await studio.replay(_asked(request))
    return replay_answer(made, request.accept, same_source=same_source)


@get("/augmentation/recipes", summary="The recipes that are kept", tags=["recipes"])
async def list_recipes(shelf: GivenShelf, limit: Limit = 50, cursor: Cursor = 0) -> RecipeList:
    """Return the latest version of every recipe, page by page."""
    items, following = await shelf.latest(cursor, limit)
    return RecipeList(items=items, next_cursor=following)


@get("/augmentation/recipes/{name:str}", summary="A recipe that is kept", tags=["recipes"])
async def show_recipe(
    name: FromPath[str], shelf: GivenShelf, version: Version = None
) -> KeptRecipe:
    """Return the latest version, or the one asked for."""
    return await shelf.get(name, version)


@get("/augmentation/recipes/{name:str}/versions", summary="A recipe's past", tags=["recipes"])
async def list_versions(name: FromPath[str], shelf: GivenShelf) -> RecipeVersions:
    """Return all versions of a recipe, oldest first."""
    return RecipeVersions(name=name, versions=await shelf.versions(name))


@put("/augmentation/recipes/{name:str}", summary="Keep a recipe", tags=["recipes"])
async def keep_recipe(
    name: FromPath[str], data: JSONBody[RecipeOrder], shelf: GivenShelf
) -> Response[KeptRecipe]:
    """Keep a recipe as the next version of its name; 200 if the latest is the same already."""
    kept, is_new = await shelf.put(name, data.recipe, data.description)
    location = f"/augmentation/recipes/{name}?version={kept.version}"
    return Response(kept, status_code=201 if is_new else 200, headers={"location": location})


@delete("/augmentation/recipes/{name:str}", summary="Remove a recipe", tags=["recipes"])
async def remove_recipe(name: FromPath[str], shelf: GivenShelf) -> None:
    """Remove all versions of a recipe; tasks that were ordered with it go on."""
    await shelf.delete(name)


def _asked(request: AnyRequest) -> Asked:
    _no_query(request)
    kind, _ = request.content_type
    return Asked(kind=kind, receive=request.receive, headers=request.headers)


def _cacheable(request: AnyRequest, body: bytes, media_type: str) -> Response[bytes]:
    headers = {"etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "cache-control": "no-cache"}
    given = request.headers.get("if-none-match", "")
    if headers["etag"] in given or given.strip() == "*":
        return Response(b"", status_code=304, media_type=media_type, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _no_query(request: AnyRequest) -> None:
    """Refuse parameters that would be ignored."""
    for name in request.query_params:
        raise Rejected(400, "unknown_parameter", f"there is no query parameter {name[:64]!r}")


ROUTES = [
    list_operations,
    show_example,
    preview,
    replay,
    list_recipes,
    show_recipe,
    list_versions,
    keep_recipe,
    remove_recipe,
]
