"""Signed URLs, for a service that wants them."""

from __future__ import annotations

from image_service.signatures import Signatures, canonical

KEY = "a-key-of-the-tests-0123456789"
SIGNATURES = Signatures(keys=(KEY.encode(),), unsigned="none")


def signed(path: str, query: str) -> str:
    text, _ = canonical(path, query)
    return f"{path}?{query}&signature={SIGNATURES.sign(text)}"
