"""Options in the path, for CDNs that ignore queries:

`/image/r/{signature or "unsafe"}/width:512/fit:cover/{id}.webp`

Each option is a parameter's name (or alias), a colon and its value, percent-encoded; an option
without a colon is a flag. The extension is the format; without one it is as without `format`.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

import msgspec
from imagesystem.errors import Rejected

from image_service.formats import ALIASES, FORMATS
from image_service.parameters import AUTO
from image_service.signatures import SIGNATURE_NAMES

__all__ = ["PREFIX", "UNSAFE", "PathRequest", "path_of", "read"]

PREFIX = "/image/r/"
UNSAFE = "unsafe"
MAX_OPTIONS = 64
_FORM = f"{PREFIX}{{signature or {UNSAFE}}}/{{name:value}}/…/{{id}}.{{extension}}"
_EXTENSIONS = {
    **{format_.extension: name for name, format_ in FORMATS.items()},
    **{name: name for name in FORMATS},
    **ALIASES,
    AUTO: AUTO,
}


class PathRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a path says: the id as it is written, names and texts, and the signature over `signed`
    (None: `unsafe`).
    """

    image_id: str
    pairs: tuple[tuple[str, str], ...]
    signature: str | None
    signed: str


def read(raw: str) -> PathRequest:
    """Read what follows the prefix, percent-encoded as it was sent.

    Raises `Rejected` 404 `malformed_path`, 400 `too_many_parameters`, `unknown_parameter` for a
    signature among the options, `invalid_parameter` for an unknown extension.
    """
    signature, *options, name = raw.split("/") if "/" in raw else ("", raw)
    if not signature or not name:
        raise Rejected(404, "malformed_path", "the path is not complete", allowed=_FORM)
    if len(options) > MAX_OPTIONS:
        raise Rejected(
            400,
            "too_many_parameters",
            "too many options",
            limit="options",
            allowed=MAX_OPTIONS,
            actual=len(options),
        )
    image_id, dot, extension = unquote(name).partition(".")
    pairs = [_pair(option) for option in options]
    if dot:
        if extension not in _EXTENSIONS:
            raise Rejected(
                400,
                "invalid_parameter",
                f"there is no extension {extension[:64]!r}",
                limit="format",
                allowed=", ".join(_EXTENSIONS),
                actual=extension[:64],
            )
        pairs.append(("format", _EXTENSIONS[extension]))
    return PathRequest(
        image_id=image_id,
        pairs=tuple(pairs),
        signature=None if signature == UNSAFE else signature,
        signed=raw[len(signature) :],
    )


def _pair(option: str) -> tuple[str, str]:
    name, _, value = (unquote(part) for part in option.partition(":"))
    if name in SIGNATURE_NAMES:
        raise Rejected(
            400,
            "unknown_parameter",
            "in a path the signature comes first, it is no option",
            allowed=_FORM,
            actual=name,
        )
    return name, value


def path_of(image_id: str, pairs: list[tuple[str, str]], extension: str = "") -> str:
    """Return what is signed of a path with these options: all after the signature."""
    options = "".join(f"/{quote(name, safe='')}:{quote(text, safe=',')}" for name, text in pairs)
    return f"{options}/{image_id}" + (f".{extension}" if extension else "")
