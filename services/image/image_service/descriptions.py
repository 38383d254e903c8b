"""`GET /image/images/{id}/info`, `/placeholder` and `/palette`: what is known of a picture."""

from __future__ import annotations

from typing import Any

import msgspec
from imagesystem.errors import Rejected
from imagesystem.events import Exif, Uploaded
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, SkipValidation

from image_service import orders
from image_service.conditions import decide
from image_service.gallery import Gallery, cache_control
from image_service.information import Hashes, Placeholder, Survey
from image_service.palettes import Colour

__all__ = ["ROUTES", "Info", "Palette"]

AnyRequest = Request[Any, Any, Any]


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an original.

    `width`, `height`: pixels as stored (`orientation` is EXIF's, 1 to 8); `mode` as Pillow names
    it; `icc_profile`: what the profile calls itself, null if there is none; `exif` is that of the
    `uploaded` fact; `iptc` by field, `xmp` the packet itself (RDF); `palette`: most frequent first.
    """

    image_id: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str
    width: int
    height: int
    orientation: int
    frames: int
    mode: str
    alpha: bool
    icc_profile: str | None
    exif: Exif | None
    iptc: dict[str, str | list[str]]
    xmp: str | None
    hashes: Hashes
    palette: list[Colour]


class Palette(msgspec.Struct, frozen=True, kw_only=True):
    """The colours that a picture has most of, the most frequent first."""

    image_id: str
    colours: list[Colour]


@get(
    "/image/images/{image_id:str}/info",
    tags=["information"],
    responses={200: ResponseSpec(Info, generate_examples=False, description="What is known")},
)
async def show_info(
    image_id: FromPath[str],
    request: AnyRequest,
    gallery: NamedDependency[SkipValidation[Gallery]],
) -> Response[bytes]:
    """Return dimensions, format, frames, EXIF, IPTC, XMP, colour profile, colours and hashes."""
    return await _answer(request, gallery, image_id, _info)


@get(
    "/image/images/{image_id:str}/placeholder",
    tags=["information"],
    responses={
        200: ResponseSpec(Placeholder, generate_examples=False, description="What stands in")
    },
)
async def show_placeholder(
    image_id: FromPath[str],
    request: AnyRequest,
    gallery: NamedDependency[SkipValidation[Gallery]],
) -> Response[bytes]:
    """Return what stands in for the picture while it loads: BlurHash, ThumbHash, a data URI."""
    return await _answer(request, gallery, image_id, lambda _original, found: found.placeholder)


@get(
    "/image/images/{image_id:str}/palette",
    tags=["information"],
    responses={200: ResponseSpec(Palette, generate_examples=False, description="The colours")},
)
async def show_palette(
    image_id: FromPath[str],
    request: AnyRequest,
    gallery: NamedDependency[SkipValidation[Gallery]],
) -> Response[bytes]:
    """Return the colours that the picture has most of, at most eight."""
    return await _answer(request, gallery, image_id, _palette)


def _info(original: Uploaded, found: Survey) -> Info:
    said = found.information
    return Info(
        image_id=original.image_id,
        filename=original.filename,
        media_type=original.media_type,
        size_bytes=original.size_bytes,
        sha256=original.sha256,
        width=original.width,
        height=original.height,
        orientation=said.orientation,
        frames=said.frames,
        mode=said.mode,
        alpha=said.alpha,
        icc_profile=said.icc_profile,
        exif=original.exif,
        iptc=said.iptc,
        xmp=said.xmp,
        hashes=said.hashes,
        palette=found.palette,
    )


def _palette(original: Uploaded, found: Survey) -> Palette:
    return Palette(image_id=original.image_id, colours=found.palette)


async def _answer(
    request: AnyRequest, gallery: Gallery, image_id: str, view: Any
) -> Response[bytes]:
    """Look at the original, once for all three; the answer never changes, as the bytes do not."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query = request.scope["query_string"].decode("latin-1")
    raw = path.partition(b"?")[0].decode("latin-1")
    order = orders.by_query(gallery, image_id, raw, query)
    if order.wanted is not None:
        name = next(iter(order.wanted.values))
        raise Rejected(
            400,
            "unknown_parameter",
            f"this is said of the original: {name} has no place here",
            allowed="expires, signature",
            actual=name,
        )
    original = await gallery.originals.find(order.image_id)
    etag = f'"{original.sha256[:32]}-{gallery.darkroom.engine}"'
    age = gallery.max_age_s if order.seconds_left is None else order.seconds_left
    headers = {
        "etag": etag,
        "cache-control": cache_control(min(age, gallery.max_age_s), immutable=False),
    }
    fields = {name.lower(): value for name, value in request.headers.items()}
    if decide(fields, etag, original.uploaded_at) == "not_modified":
        return Response(b"", status_code=304, headers=headers)
    found = await gallery.darkroom.survey(original)
    body = msgspec.json.encode(view(original, found))
    return Response(body, media_type="application/json", headers=headers)


ROUTES = [show_info, show_placeholder, show_palette]
