"""A picture in the body of a request: as it is, or as a file in a form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from imagesystem.errors import Rejected
from imagesystem.requests import form_errors, patient
from litestar import Request
from litestar.datastructures import FormMultiDict, UploadFile

__all__ = ["JSON_BYTES", "content_type", "limit_body", "pieces_of"]

AnyRequest = Request[Any, Any, Any]
M = TypeVar("M")

#: Bytes of JSON that may be sent instead of a picture, and around a picture in a form.
JSON_BYTES = FORM_BYTES = 1024 * 1024
FILE_FIELDS = ("file", "image")
PIECE_BYTES = 256 * 1024
#: Seconds without a byte of a body after which a request is given up.
IDLE_S = 60.0


def content_type(request: AnyRequest) -> str:
    """Return the media type of the body, without parameters."""
    told: str = request.headers.get("content-type", "")
    return told.partition(";")[0].strip().lower()


def limit_body(request: AnyRequest, most: int, limit: str) -> None:
    """Have the body refused (`Rejected` 413) once it has more than `most` bytes, or stalls.

    `limit`: what the settings call that.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise _too_large(most, limit, int(said))
    request.receive = patient(_counted(request.receive, most, limit), IDLE_S)


async def pieces_of(request: AnyRequest, most: int) -> AsyncIterator[bytes]:
    """Yield the picture in a body, at most `most` bytes (MAX_UPLOAD_BYTES). Raises `Rejected`.

    400: `missing_file`, `too_many_files`, `unknown_field`, `malformed_multipart`,
    `incomplete_body`; 408 `body_timeout`; 413 `body_too_large`.
    """
    if content_type(request) != "multipart/form-data":
        limit_body(request, most, "MAX_UPLOAD_BYTES")
        async for piece in request.stream():
            yield piece
        return
    limit_body(request, most + FORM_BYTES, "MAX_UPLOAD_BYTES")
    with form_errors():
        form = await request.form()
    file, size = _file_of(form), 0
    while piece := await file.read(PIECE_BYTES):
        size += len(piece)
        if size > most:
            raise _too_large(most, "MAX_UPLOAD_BYTES", size)
        yield piece


def _file_of(form: FormMultiDict) -> UploadFile:
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
    return files[0]


def _counted(
    receive: Callable[[], Awaitable[M]], most: int, limit: str
) -> Callable[[], Awaitable[M]]:
    size = 0

    async def received() -> M:
        nonlocal size
        message: Any = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise _too_large(most, limit, size)
        return message  # type: ignore[no-any-return]

    return received


def _too_large(most: int, limit: str, actual: int) -> Rejected:
    return Rejected(
        413,
        "body_too_large",
        f"the body has more than {most} bytes",
        limit=limit,
        allowed=most,
        actual=actual,
        headers={"connection": "close"},
    )
