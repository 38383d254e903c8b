"""Signed URLs: HMAC-SHA256 (RFC 2104) over the canonical path, in base64url without padding.

What is signed is the path and the query as they are sent, the pairs of the query sorted and
without `signature`; of a URL with options in its path, what follows the signature's segment.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Literal, TypeAlias
from urllib.parse import unquote_plus

import msgspec
from imagesystem.errors import Rejected

__all__ = ["SIGNATURE_NAMES", "Signatures", "Unsigned", "canonical", "check_expiry", "keys_of"]

#: What needs no signature: everything, originals as they are, or nothing.
Unsigned: TypeAlias = Literal["all", "originals", "none"]
LEAST_KEY_BYTES = 16
SIGNATURE_NAMES = ("signature", "s")


class Signatures(msgspec.Struct, frozen=True, kw_only=True):
    """Signs with the first key, takes what any of them signed: keys change by prepending one."""

    keys: tuple[bytes, ...] = ()
    unsigned: Unsigned = "all"

    def sign(self, text: str) -> str:
        """Return the signature of a canonical path; there must be a key."""
        return _signature(self.keys[0], text)

    def check(self, text: str, signature: str | None, *, original: bool) -> None:
        """Say whether this may be asked for.

        A signature that is given must hold, also where none is needed. Raises `Rejected` 403
        `signature_required` or `bad_signature`.
        """
        if signature is None:
            if self.unsigned == "all" or (original and self.unsigned == "originals"):
                return
            raise Rejected(
                403,
                "signature_required",
                "this needs a signed URL",
                limit="signature",
                allowed="HMAC-SHA256 of the canonical path, base64url",
            )
        given = signature.rstrip("=").encode("utf-8", "replace")
        # All keys, always: how long it takes says nothing about which one fits.
        fits = [hmac.compare_digest(_signature(key, text).encode(), given) for key in self.keys]
        if not any(fits):
            raise Rejected(
                403,
                "bad_signature",
                "the signature is not of this URL",
                limit="signature",
                allowed="HMAC-SHA256 of the canonical path, base64url",
                actual=signature[:64],
            )


def _signature(key: bytes, text: str) -> str:
    digest = hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def canonical(path: str, query: str) -> tuple[str, str | None]:
    """Return what is signed of a path and a query (as sent), and the signature in it."""
    pairs, signature = [], None
    for pair in query.split("&") if query else []:
        name, _, value = pair.partition("=")
        if (unquote_plus(name) if "%" in name else name) in SIGNATURE_NAMES:
            signature = unquote_plus(value)
        elif pair:
            pairs.append(pair)
    return (f"{path}?{'&'.join(sorted(pairs))}" if pairs else path), signature


def check_expiry(expires: int | None, now: float) -> None:
    """Raise `Rejected` 403 `url_expired` when a URL holds no more (Unix seconds)."""
    if expires is not None and expires <= now:
        raise Rejected(
            403,
            "url_expired",
            "this URL has expired",
            limit="expires",
            allowed=f"later than {int(now)}",
            actual=expires,
        )


def keys_of(text: str) -> tuple[bytes, ...]:
    """Read keys, with commas. Raises `ValueError` when one is too short."""
    keys = tuple(part.strip().encode() for part in text.split(",") if part.strip())
    if any(len(key) < LEAST_KEY_BYTES for key in keys):
        raise ValueError(f"a key has fewer than {LEAST_KEY_BYTES} characters")
    return keys
