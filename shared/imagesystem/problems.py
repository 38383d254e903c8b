"""RFC 9457 answers: what every error looks like to an HTTP client."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from imagesystem import errors, logs

__all__ = ["HANDLERS", "Problem", "answer", "problem_response"]

log = logs.get(__name__)

#: The status of what is not the client's fault but can be told.
STATUS: dict[type[errors.ImageSystemError], int] = {
    errors.StoreFull: 507,
    errors.WrongSequence: 409,
    errors.Transient: 503,
    errors.ImageDeleted: 410,
    errors.ObjectMissing: 404,
}
RETRY_AFTER_S = "2"
#: Codes for what the framework itself refuses.
CODES: dict[int, str] = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error, as `application/problem+json`.

    `code` is stable; for a limit, `limit` is its setting, `allowed` its value, `actual` yours;
    `position`: the character of a text (from 0) at which it goes wrong.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    request_id: str | None = None
    limit: str | None = None
    allowed: int | str | None = None
    actual: int | str | None = None
    position: int | None = None
    errors: list[dict[str, Any]] | None = None


def problem_response(
    request: Request[Any, Any, Any],
    status: int,
    code: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Response[bytes]:
    """Return the answer for an error; never cacheable."""
    problem = Problem(
        type=f"urn:image-system:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        request_id=request.scope.get("state", {}).get("request_id"),
        **more,
    )
    return Response(
        msgspec.json.encode(problem),
        status_code=status,
        media_type="application/problem+json",
        headers={"cache-control": "no-store", **(headers or {})},
    )


def _rejected(request: Request[Any, Any, Any], error: errors.Rejected) -> Response[bytes]:
    return problem_response(
        request,
        error.status,
        error.code,
        error.message,
        headers=error.headers,
        limit=error.limit,
        allowed=error.allowed,
        actual=error.actual,
        position=error.position,
    )


def _ours(request: Request[Any, Any, Any], error: errors.ImageSystemError) -> Response[bytes]:
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            headers = {"retry-after": RETRY_AFTER_S} if status in (503, 507) else {}
            return problem_response(request, status, error.code, error.message, headers=headers)
    return _unexpected(request, error)


def _framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    status = error.status_code
    if status >= 500:
        return _unexpected(request, error)
    extra = error.extra
    return problem_response(
        request,
        status,
        CODES.get(status, HTTPStatus(status).phrase.lower().replace(" ", "_")),
        error.detail,
        headers=dict(error.headers or {}),
        errors=[item for item in extra if isinstance(item, dict)]
        if isinstance(extra, list)
        else None,
    )


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.error("request_failed", path=request.url.path, exc_info=error)
    return problem_response(
        request, 500, "internal_error", "an error on our side; it has been logged"
    )


HANDLERS: ExceptionHandlersMap = {
    errors.Rejected: _rejected,
    errors.ImageSystemError: _ours,
    HTTPException: _framework,
    Exception: _unexpected,
}


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Return the answer for an error that was raised outside of any route."""
    kind = next(kind for kind in type(error).__mro__ if kind in HANDLERS)
    response: Response[bytes] = HANDLERS[kind](request, error)
    return response
