"""The event contract over HTTP: the documents that programs are written against."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Annotated

import msgspec
from imagesystem import asyncapi
from imagesystem.errors import Rejected
from litestar import MediaType, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter

from metadata_service.etags import matches

__all__ = ["ROUTES"]

#: It changes with a new release only, and a release may come at any time.
CACHE_CONTROL = "public, max-age=300"
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="ETags that you have: 304 if one is current"),
]
_DOCUMENT = msgspec.json.encode(asyncapi.document(version("imagesystem")))
_SCHEMAS = {entry.type: msgspec.json.encode(asyncapi.schema(entry)) for entry in asyncapi.entries()}


@get(
    "/metadata/events/asyncapi.json",
    responses={200: ResponseSpec(dict, generate_examples=False, description="AsyncAPI 3.0")},
    summary="The event contract as AsyncAPI 3",
    tags=["events"],
)
async def show_contract(if_none_match: IfNoneMatch = None) -> Response[bytes]:
    """Return every event, its subject, its fields, and who says and hears it."""
    return _kept(_DOCUMENT, MediaType.JSON, if_none_match)


@get(
    "/metadata/events/schemas/{event_type:str}",
    responses={200: ResponseSpec(dict, generate_examples=False, description="JSON Schema 2020-12")},
    summary="The JSON Schema of one kind of event",
    tags=["events"],
)
async def show_schema(
    event_type: FromPath[str], if_none_match: IfNoneMatch = None
) -> Response[bytes]:
    """Return the schema of the body of events with this `ce-type`, as `images.v1.uploaded`."""
    schema = _SCHEMAS.get(event_type)
    if schema is None:
        raise Rejected(
            404,
            "unknown_event_type",
            f"there is no event type {event_type[:64]!r}",
            allowed=", ".join(_SCHEMAS),
            actual=event_type[:64],
        )
    return _kept(schema, "application/schema+json", if_none_match)


def _kept(body: bytes, media_type: str, if_none_match: str | None) -> Response[bytes]:
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"etag": tag, "cache-control": CACHE_CONTROL}
    if matches(if_none_match, tag):
        return Response(b"", status_code=304, headers=headers, media_type=media_type)
    return Response(body, headers=headers, media_type=media_type)


ROUTES = [show_contract, show_schema]
