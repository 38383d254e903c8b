"""The `srcset` of a picture: the same rendition in several widths, ready for an `<img>`."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import msgspec
from imagesystem.errors import Rejected
from imagesystem.events import Uploaded

from image_service.parameters import MAX_SIDE, Wanted
from image_service.parameters.parsing import MAX_FIELDS
from image_service.signatures import Signatures, canonical

__all__ = ["Candidate", "Srcset", "make", "split"]

MOST_WIDTHS = 32
USUAL_WIDTHS = (320, 640, 960, 1280, 1920, 2560)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: a URL and the width in pixels of what it answers."""

    url: str
    width: int


class Srcset(msgspec.Struct, frozen=True, kw_only=True):
    """The entries, smallest first; `srcset` is the attribute, `src` the middle one."""

    image_id: str
    srcset: str
    src: str
    candidates: list[Candidate]


def split(query: str) -> tuple[tuple[int, ...], str]:
    """Return the widths that a query names, and the rest of it.

    Raises `Rejected` 400 `invalid_parameter`, `conflicting_parameters`, `too_many_parameters`.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise Rejected(
            400, "too_many_parameters", "too many parameters", allowed=MAX_FIELDS
        ) from error
    said = [text for name, text in pairs if name == "widths"]
    rest = [(name, text) for name, text in pairs if name not in ("widths", "signature", "s")]
    if not said:
        return USUAL_WIDTHS, urlencode(rest)
    numbers = [part for text in said for part in text.split(",")]
    good = all(
        part.isascii() and part.isdigit() and len(part) < 6 and 0 < int(part) <= MAX_SIDE
        for part in numbers
    )
    if not good or len(said) > 1 or len(numbers) > MOST_WIDTHS:
        raise Rejected(
            400,
            "invalid_parameter",
            f"widths cannot be {said[0][:64]!r}",
            limit="widths",
            allowed=f"up to {MOST_WIDTHS} widths with commas, each 1 to {MAX_SIDE}",
            actual=said[0][:64],
        )
    return tuple(sorted({int(part) for part in numbers})), urlencode(rest)


def make(
    original: Uploaded,
    widths: tuple[int, ...],
    rest: str,
    wanted: Wanted | None,
    signatures: Signatures,
) -> Srcset:
    """Return the srcset. `rest`: the other parameters, as they are sent with each width.

    Nothing is enlarged (unless `enlarge` is asked for), so that no candidate claims to be wider
    than the original is. URLs are signed where signatures are required. Raises `Rejected` 400
    `conflicting_parameters`.
    """
    for name in ("width", "height", "dpr"):
        if wanted is not None and wanted.get(name) is not None:
            raise Rejected(
                400,
                "conflicting_parameters",
                f"{name} cannot be said of a srcset: widths says it (and aspect_ratio the height)",
                limit=name,
                allowed="widths, aspect_ratio",
            )
    swapped = original.exif is not None and original.exif.orientation >= 5
    own = original.height if swapped else original.width
    if not (wanted is not None and wanted.get("enlarge")):
        smaller = tuple(width for width in widths if width < own)
        widths = (*smaller, own) if len(smaller) < len(widths) else widths
    path = f"/image/images/{original.image_id}"
    candidates = [
        Candidate(
            url=_url(path, f"width={width}" + (f"&{rest}" if rest else ""), signatures),
            width=width,
        )
        for width in widths
    ]
    return Srcset(
        image_id=original.image_id,
        srcset=", ".join(f"{each.url} {each.width}w" for each in candidates),
        src=candidates[len(candidates) // 2].url,
        candidates=candidates,
    )


def _url(path: str, query: str, signatures: Signatures) -> str:
    if signatures.unsigned == "all":
        return f"{path}?{query}"
    text, _ = canonical(path, query)
    return f"{text}&signature={signatures.sign(text)}"
