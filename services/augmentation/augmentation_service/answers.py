"""How a variant goes out over HTTP: the picture itself, or everything about it as JSON."""

from __future__ import annotations

import base64
import hashlib

import msgspec
from litestar import MediaType, Response
from litestar.datastructures.headers import Accept

from augmentation_service.engine import Difference, MovedLabels, Receipt
from augmentation_service.rendering import Rendered, ReplayMade, Sheet

__all__ = [
    "EXACT_HEADER",
    "RECEIPT_HEADER",
    "PreviewAnswer",
    "ReplayAnswer",
    "VariantFile",
    "answer",
    "replay_answer",
    "sheet_answer",
]

RECEIPT_HEADER = "augmentation-receipt"
EXACT_HEADER = "augmentation-exact"
_PICTURE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class VariantFile(msgspec.Struct, frozen=True, kw_only=True):
    """A variant as a file: `data` is base64, `sha256` that of the file."""

    media_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str
    data: bytes


class PreviewAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A variant with its receipt, and its labels if there were some given."""

    image: VariantFile
    receipt: Receipt
    labels: MovedLabels | None


def answer(rendered: Rendered, accept: Accept) -> Response[bytes]:
    """Return the picture, or JSON for a client that prefers it.

    The picture has its receipt in the header `Augmentation-Receipt` (JSON, base64url without
    padding); labels come in JSON only.
    """
    sha256 = hashlib.sha256(rendered.data).hexdigest()
    headers = {"vary": "accept", "cache-control": "no-store"}
    if accept.best_match([rendered.media_type, MediaType.JSON]) == MediaType.JSON:
        receipt = rendered.receipt
        body = PreviewAnswer(
            image=VariantFile(
                media_type=rendered.media_type,
                width=receipt.width,
                height=receipt.height,
                size_bytes=len(rendered.data),
                sha256=sha256,
                data=rendered.data,
            ),
            receipt=receipt,
            labels=rendered.labels,
        )
        return Response(msgspec.json.encode(body), media_type=MediaType.JSON, headers=headers)
    receipt_text = base64.urlsafe_b64encode(msgspec.json.encode(rendered.receipt)).rstrip(b"=")
    return Response(
        rendered.data,
        media_type=rendered.media_type,
        headers={
            **headers,
            "etag": f'"{sha256[:32]}"',
            RECEIPT_HEADER: receipt_text.decode(),
            "x-content-type-options": "nosniff",
        },
    )


class ReplayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A variant that was made again.

    `exact`: its pixels are the receipt's; otherwise `difference` says what is not as it was.
    `same_source`: the picture is the one that the receipt names.
    """

    exact: bool
    same_source: bool
    difference: Difference
    image: VariantFile


def sheet_answer(made: Sheet) -> Response[bytes]:
    """Return a contact sheet."""
    return Response(made.data, media_type=made.media_type, headers=_PICTURE)


def replay_answer(made: ReplayMade, accept: Accept, *, same_source: bool) -> Response[bytes]:
    """Return JSON, or the picture for a client that prefers it.

    The picture has `true` or `false` in the header `Augmentation-Exact`.
    """
    headers = {"vary": "accept", "cache-control": "no-store"}
    exact = made.exact and same_source
    if accept.best_match([MediaType.JSON, made.media_type]) != MediaType.JSON:
        header = {EXACT_HEADER: "true" if exact else "false"}
        return Response(
            made.data, media_type=made.media_type, headers={**headers, **header, **_PICTURE}
        )
    body = ReplayAnswer(
        exact=exact,
        same_source=same_source,
        difference=made.difference,
        image=VariantFile(
            media_type=made.media_type,
            width=made.width,
            height=made.height,
            size_bytes=len(made.data),
            sha256=hashlib.sha256(made.data).hexdigest(),
            data=made.data,
        ),
    )
    return Response(msgspec.json.encode(body), media_type=MediaType.JSON, headers=headers)
