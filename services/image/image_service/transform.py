"""Upload and transform in one call: `POST /image/transform`; nothing is kept."""

from __future__ import annotations

from functools import partial
from typing import Any

from imagesystem.errors import Rejected
from imagesystem.requests import form_errors, patient
from litestar import Request, post
from litestar.datastructures import FormMultiDict, UploadFile
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from litestar.response.base import ASGIResponse
from litestar.types import Receive

from image_service import parameters
from image_service.filenames import disposition, renamed
from image_service.formats import FORMATS
from image_service.gallery import Gallery
from image_service.openapi import TransformOperation
from image_service.orders import wanted_of
from image_service.parameters import Recipe, Source, Wanted

__all__ = ["transform"]

FILE_FIELDS = ("file", "image")
#: What a multipart body has besides the file: boundaries, headers of the parts, parameters.
FORM_BYTES = 64 * 1024
#: The longest wait for the next bytes of a body.
IDLE_S = 30.0


@post(
    "/image/transform",
    status_code=200,
    request_max_body_size=None,
    operation_class=TransformOperation,
    tags=["pictures"],
)
async def transform(
    request: Request[Any, Any, Any], gallery: NamedDependency[SkipValidation[Gallery]]
) -> ASGIResponse:
    """Return a rendition of a file (field `file` or `image`) without keeping either.

    The parameters are those of `GET /image/images/{id}`, in the query or as fields of the form.
    """
    allowed = gallery.max_transform_bytes
    if request.content_type[0] != "multipart/form-data":
        raise Rejected(
            415,
            "unsupported_media_type",
            "send multipart/form-data with a file",
            headers={"accept-post": "multipart/form-data"},
        )
    said = request.headers.get("content-length", "")
    _check_size(int(said) if said.isdecimal() else 0, allowed + FORM_BYTES, allowed)
    request.receive = _bounded(patient(request.receive, IDLE_S), allowed)
    with form_errors():
        form = await request.form()
    file, fields = _parts(form)
    query = request.scope["query_string"].decode("latin-1")
    wanted = wanted_of(gallery, request.url.path, query, fields)
    if (mark := wanted.get("watermark")) is not None:
        await gallery.find_others([mark])
    choose = partial(_chosen, wanted, request.headers.get("accept", ""))
    recipe, made = await gallery.darkroom.transform(partial(_whole, file, allowed), choose)
    format_ = FORMATS[recipe.format]
    return ASGIResponse(
        body=made,
        media_type=format_.media_type,
        headers={
            "cache-control": "no-store",
            "content-disposition": disposition(
                renamed(file.filename or "image", format_.extension)
            ),
            "content-length": str(len(made)),
            "x-content-type-options": "nosniff",
        },
    )


def _chosen(wanted: Wanted, accept: str, source: Source) -> Recipe:
    return parameters.resolve(wanted, source, accept)


def _check_size(actual: int, most: int, allowed: int) -> None:
    if actual > most:
        raise Rejected(
            413,
            "body_too_large",
            f"the file has more than {allowed} bytes",
            limit="MAX_TRANSFORM_BYTES",
            allowed=allowed,
            actual=actual,
            headers={"connection": "close"},
        )


def _bounded(receive: Receive, allowed: int) -> Receive:
    """Return ASGI's `receive` that refuses a body that is too long."""
    received = 0

    async def bounded() -> Any:
        nonlocal received
        message: Any = await receive()
        received += len(message.get("body", b""))
        _check_size(received, allowed + FORM_BYTES, allowed)
        return message

    return bounded


async def _whole(file: UploadFile, allowed: int) -> bytes:
    """Return the bytes of a file that was spooled."""
    data = await file.read()
    _check_size(len(data), allowed, allowed)
    return data


def _parts(form: FormMultiDict) -> tuple[UploadFile, list[tuple[str, str]]]:
    """Return the file and the other fields."""
    items = list(form.multi_items())
    files = [
        value for name, value in items if name in FILE_FIELDS and isinstance(value, UploadFile)
    ]
    if not files:
        raise Rejected(
            400, "missing_file", "the form has no field `file` (or `image`) with a picture"
        )
    if len(files) > 1:
        raise Rejected(
            400, "too_many_files", "send one picture at a time", allowed=1, actual=len(files)
        )
    fields = []
    for name, value in items:
        if value is files[0]:
            continue
        if not isinstance(value, str):
            raise Rejected(
                400, "unknown_field", f"the field {name[:64]!r} is a file; send one as `file`"
            )
        fields.append((name, value))
    return files[0], fields
