"""The name under which a browser keeps a picture: `Content-Disposition`."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

__all__ = ["disposition", "renamed"]

MAX_CHARACTERS = 150
#: What may stand in `filename*` unescaped (RFC 8187, attr-char).
_ATTR_CHARS = "!#$&+-.^_`|~"
#: Separators and reserved characters of the file systems that a download may land on.
_RESERVED = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))


def disposition(filename: str) -> str:
    """Return `inline` with the real name: plain ASCII for old clients, UTF-8 for the others.

    RFC 6266 and RFC 8187. Whatever the name holds, the header stays one well-formed line.
    """
    name = _clean(filename)
    plain = "".join(
        character if character.isascii() else "_"
        for character in unicodedata.normalize("NFKD", name)
        if not unicodedata.combining(character)
    )
    # A quoted string: quotes and backslashes are gone; "%" makes some clients unescape.
    plain = plain.replace("%", "_").strip(" .") or "image"
    value = f'inline; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"
    return value


def renamed(filename: str, extension: str) -> str:
    """Return the name with another extension: photo.png as photo.webp."""
    stem, dot, suffix = filename.rpartition(".")
    known = dot and stem and len(suffix) <= 5
    return f"{stem if known else filename}.{extension}"


def _clean(filename: str) -> str:
    """Return the name without folders, control characters and lone surrogates, not too long."""
    text = "".join(
        character
        for character in filename.translate(_RESERVED)
        if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    ).strip(" .")
    if len(text) > MAX_CHARACTERS:
        stem, dot, suffix = text.rpartition(".")
        ending = f".{suffix}" if dot and len(suffix) <= 10 else ""
        text = (stem if ending else text)[: MAX_CHARACTERS - len(ending)] + ending
    return text or "image"
