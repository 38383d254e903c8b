"""HTTP: parse, call, answer."""

from __future__ import annotations

from typing import Annotated, Any

from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from litestar import Request, Response, delete, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation

from registry_service import batches
from registry_service.deletions import Deletions
from registry_service.documents import (
    BatchDocument,
    DeletionDocument,
    ImageDocument,
    image_document,
)
from registry_service.openapi import (
    REFUSALS,
    UPLOAD_ANSWERS,
    BatchOperation,
    RawOperation,
    UploadOperation,
)
from registry_service.reception import Reception
from registry_service.uploads import Accepted, Uploads

__all__ = ["ROUTES"]

AnyRequest = Request[Any, Any, Any]
NO_STORE = {"cache-control": "no-store"}
PARAMETERS = {"filename", "tags"}


def _answer(accepted: Accepted) -> Response[ImageDocument]:
    document = image_document(accepted)
    return Response(
        document,
        status_code=200 if accepted.duplicate else 201,
        headers={**NO_STORE, "location": document.links.metadata},
    )


@post(
    "/registry/upload",
    tags=["upload"],
    operation_class=UploadOperation,
    responses=UPLOAD_ANSWERS,
)
async def upload(
    request: AnyRequest,
    reception: NamedDependency[SkipValidation[Reception]],
    uploads: NamedDependency[SkipValidation[Uploads]],
) -> Response[ImageDocument]:
    """Upload one picture as a form: validated, stored and announced (201; 200 if known)."""
    async with reception.form(request.receive, request.headers) as delivery:
        [arrival] = delivery.files
        return _answer(await uploads.accept(arrival.spool, arrival.filename, delivery.tags))


@put(
    "/registry/upload",
    tags=["upload"],
    status_code=201,
    operation_class=RawOperation,
    responses=UPLOAD_ANSWERS,
)
async def upload_raw(
    request: AnyRequest,
    reception: NamedDependency[SkipValidation[Reception]],
    uploads: NamedDependency[SkipValidation[Uploads]],
    filename: Annotated[str, QueryParameter(description="its name")] = "",
    tags: Annotated[
        list[str] | None, QueryParameter(description="comma-separated; may be repeated")
    ] = None,
) -> Response[ImageDocument]:
    """Upload one picture as the whole body: validated, stored and announced (201; 200 if known)."""
    if unknown := set(request.query_params) - PARAMETERS:
        raise Rejected(
            400,
            "unknown_parameter",
            f"there is no parameter {min(unknown)[:100]!r}; there are: filename, tags",
        )
    async with reception.raw(request.receive, request.headers, filename, tags or []) as delivery:
        [arrival] = delivery.files
        return _answer(await uploads.accept(arrival.spool, arrival.filename, delivery.tags))


@post(
    "/registry/batch",
    tags=["upload"],
    status_code=200,
    operation_class=BatchOperation,
    responses={status: REFUSALS[status] for status in (400, 408, 413, 415, 503, 507)},
)
async def upload_batch(
    request: AnyRequest,
    reception: NamedDependency[SkipValidation[Reception]],
    uploads: NamedDependency[SkipValidation[Uploads]],
) -> Response[BatchDocument]:
    """Upload many pictures as a form: one result each, with the status it would have alone."""
    async with reception.batch(request.receive, request.headers) as delivery:
        return Response(await batches.accept_all(uploads, delivery), headers=NO_STORE)


@delete("/registry/images/{image_id:str}", tags=["delete"], status_code=202)
async def delete_image(
    image_id: FromPath[str], deletions: NamedDependency[SkipValidation[Deletions]]
) -> Response[DeletionDocument]:
    """Delete an image everywhere (202, also when it is deleted already; 404 if it never was)."""
    tombstone = await deletions.delete(parse_image_id(image_id))
    return Response(DeletionDocument.of(tombstone), status_code=202, headers=NO_STORE)


ROUTES = [upload, upload_raw, upload_batch, delete_image]
