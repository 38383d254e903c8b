"""The picture in a request's body: a file in a form, or the id of an uploaded image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id
from imagesystem.requests import form_errors, patient
from litestar import Request
from litestar.datastructures import FormMultiDict, State, UploadFile
from litestar.exceptions import HTTPException

from inference_service.enquiries import Read
from inference_service.recognition import Recognition
from inference_service.settings import Settings

__all__ = ["FORM_BYTES", "MOST_CHARACTERS", "asked_of"]

#: What a multipart body has besides the file: boundaries, headers of the parts.
FORM_BYTES = 64 * 1024
FILE_FIELDS = ("file", "image")
#: Characters of the longest text; encoders read far fewer.
MOST_CHARACTERS = 2000
#: Seconds without a byte of a body after which a request is given up.
IDLE_S = 60.0


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An uploaded image, or a text, instead of a file."""

    image_id: str | msgspec.UnsetType = msgspec.UNSET
    text: (
        Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_CHARACTERS)] | msgspec.UnsetType
    ) = msgspec.UNSET


async def asked_of(request: Request[None, None, State], recognition: Recognition) -> Read | str:
    """Return what reads the picture that the body holds or names, or the text that it holds.

    Raises `Rejected`.
    """
    content_type = request.content_type[0]
    request.receive = patient(request.receive, IDLE_S)
    if content_type == "multipart/form-data":
        with _body_errors(request):
            form = await request.form()
        return _file_of(form, request.app.state.settings).read
    if content_type == "application/json":
        with _body_errors(request):
            body = await request.body()
        try:
            named = msgspec.json.decode(body, type=Named)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Rejected(400, "invalid_request", str(error)) from error
        if (named.image_id is msgspec.UNSET) == (named.text is msgspec.UNSET):
            raise Rejected(400, "invalid_request", "send an image_id or a text, one of them")
        if isinstance(named.text, str):
            return named.text
        image_id = parse_image_id(str(named.image_id))
        await recognition.uploaded(image_id)
        return partial(recognition.original, image_id)
    raise Rejected(
        415,
        "unsupported_media_type",
        "send multipart/form-data with a file, or application/json with an image_id",
    )


@contextmanager
def _body_errors(request: Request[None, None, State]) -> Iterator[None]:
    """Tell the limit; for everything else see `imagesystem.requests.form_errors`."""
    try:
        with form_errors():
            yield
    except HTTPException as error:
        if error.status_code == 413:
            settings: Settings = request.app.state.settings
            raise _too_large(settings, request.headers.get("content-length")) from error
        raise


def _too_large(settings: Settings, actual: int | str | None) -> Rejected:
    return Rejected(
        413,
        "body_too_large",
        f"the file has more than {settings.max_upload_bytes} bytes",
        limit="MAX_UPLOAD_BYTES",
        allowed=settings.max_upload_bytes,
        actual=actual,
    )


def _file_of(form: FormMultiDict, settings: Settings) -> UploadFile:
    fields = list(form.multi_items())
    unknown = [name for name, _ in fields if name not in FILE_FIELDS]
    files = [value for _, value in fields if isinstance(value, UploadFile)]
    if unknown:
        raise Rejected(
            400, "unknown_field", f"there is no field {unknown[0][:100]!r}; send file (or image)"
        )
    if not files:
        raise Rejected(
            400, "missing_file", "the form has no field `file` (or `image`) with a picture"
        )
    if len(files) > 1:
        raise Rejected(
            400, "too_many_files", "send one picture at a time", allowed=1, actual=len(files)
        )
    (file,) = files
    size = file.file.seek(0, os.SEEK_END)
    file.file.seek(0)
    if size > settings.max_upload_bytes:
        raise _too_large(settings, size)
    return file
