"""What a request orders: an image, what is wanted of it, and whether that may be asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl

import msgspec
from imagesystem.errors import Rejected
from imagesystem.ids import parse_image_id

from image_service import paths
from image_service.gallery import Gallery
from image_service.parameters import ACCESS, BY_NAME, Wanted, parse, read
from image_service.signatures import canonical, check_expiry

__all__ = ["Order", "by_path", "by_query", "for_srcset", "wanted_of"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """`wanted` None: the original. `seconds_left`: until the URL expires."""

    image_id: str
    wanted: Wanted | None
    seconds_left: int | None = None


def by_query(gallery: Gallery, image_id: str, path: str, query: str) -> Order:
    """Read an order with its parameters in the query; `path` and `query` as they were sent.

    Raises `Rejected` 400 (ids, parameters, presets) and 403 (signature, expiry).
    """
    image_id = parse_image_id(image_id)
    wanted = gallery.interpreter.parse(query)
    signed, signature = canonical(path, query)
    gallery.signatures.check(signed, signature, original=wanted is None)
    timed = "expires" in query or "%" in query  # a name may be percent-encoded
    pairs = parse_qsl(query, keep_blank_values=True) if timed else []
    return _ordered(gallery, image_id, wanted, pairs)


def by_path(gallery: Gallery, raw: str, query: str) -> Order:
    """Read an order with its options in the path: what follows `paths.PREFIX`; raises as above."""
    if query:
        raise Rejected(
            400,
            "unknown_parameter",
            "here parameters stand in the path, not in the query",
            allowed="none",
            actual=query[:64],
        )
    request = paths.read(raw)
    image_id = parse_image_id(request.image_id)
    wanted = read(request.pairs)
    gallery.signatures.check(request.signed, request.signature, original=wanted is None)
    return _ordered(gallery, image_id, wanted, request.pairs)


def for_srcset(gallery: Gallery, image_id: str, path: str, query: str, rest: str) -> Order:
    """Read an order of several widths; `rest`: the query without them. Raises as above.

    What it leads to could not be asked for unsigned: the answer would sign anything.
    """
    image_id = parse_image_id(image_id)
    wanted = parse(rest)
    signed, signature = canonical(path, query)
    gallery.signatures.check(signed, signature, original=False)
    gallery.presets.expanded(Wanted({"width": 1}))
    return _ordered(gallery, image_id, wanted, parse_qsl(rest, keep_blank_values=True))


def wanted_of(gallery: Gallery, path: str, query: str, fields: Sequence[tuple[str, str]]) -> Wanted:
    """Return what is wanted of a file that was sent; the query may be signed, fields are not.

    Where signatures are required all parameters must stand in the query. Raises as above.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, _ in fields:
        if name in BY_NAME and BY_NAME[name] in ACCESS:
            raise Rejected(
                400,
                "unknown_parameter",
                f"{name} belongs into the query, it is no field",
                limit=name,
                allowed="in the query",
            )
    wanted = read([*pairs, *fields]) or Wanted({})
    signed, signature = canonical(path, query)
    gallery.signatures.check(signed, signature, original=False)
    if fields and gallery.signatures.unsigned != "all":
        raise Rejected(
            403,
            "signature_required",
            f"{fields[0][0][:64]} must stand in the signed query",
            limit="signature",
            allowed="all parameters in the query",
            actual=fields[0][0][:64],
        )
    return _ordered(gallery, "", wanted, pairs).wanted or Wanted({})


def _ordered(
    gallery: Gallery, image_id: str, wanted: Wanted | None, pairs: Iterable[tuple[str, str]]
) -> Order:
    expires = next((text for name, text in pairs if name == "expires"), None)
    until = BY_NAME["expires"].kind.value(expires) if expires is not None else None
    now = time.time()
    check_expiry(until, now)
    if wanted is not None:
        wanted = gallery.presets.expanded(wanted)
    return Order(
        image_id=image_id,
        wanted=wanted if wanted is not None and wanted.values else None,
        seconds_left=None if until is None else int(until - now),
    )
