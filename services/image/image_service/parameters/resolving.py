"""From what a client wants to the recipe: defaults filled in, synonyms and no-ops gone."""

from __future__ import annotations

from typing import Any

from imagesystem.errors import Rejected

from image_service.evidence import NOTHING, Evidence
from image_service.filters import FILTERS
from image_service.parameters import outputs
from image_service.parameters.parsing import Wanted, conflict
from image_service.parameters.table import GRAVITIES, MAX_SIDE
from image_service.recipes import Label, Recipe, Redaction, Source, Watermark

__all__ = ["needs_evidence", "resolve"]

WHITE = (255, 255, 255, 255)
SHADE = (0, 0, 0, 128)


def resolve(
    wanted: Wanted, source: Source, accept: str = "", evidence: Evidence = NOTHING
) -> Recipe:
    """Return the recipe for a source.

    `accept` is the client's `Accept` header (it matters with `format=auto` alone), `evidence`
    what is known of the picture's content (it matters with `gravity=smart` and `redact=faces`).
    Raises `Rejected` 400 `conflicting_parameters`, `output_too_large`; 503, 422 of `evidence`.
    """
    format_, size = outputs.format_of(wanted, source, accept), _size(wanted)
    smart = wanted.get("gravity") == "smart" and _cuts(size)
    return Recipe(
        **size,
        **_focus(wanted, size, evidence),
        **_turned(wanted),
        **_surroundings(wanted, size),
        **outputs.encoding(wanted, format_),
        **outputs.frames(wanted, source, format_),
        crop=_crop(wanted),
        trim=wanted.get("trim") if wanted.get("trim") is not False else None,
        filters=_filters(wanted),
        watermark=_watermark(wanted),
        label=_label(wanted),
        redaction=_redaction(wanted, evidence),
        evidence=evidence.used(crop=smart, redaction="faces" in wanted.get("redact", ())),
    )


def needs_evidence(wanted: Wanted) -> bool:
    """Say whether what inference found may have a say."""
    return wanted.get("gravity") == "smart" or "faces" in wanted.get("redact", ())


def _size(wanted: Wanted) -> dict[str, Any]:
    dpr = wanted.get("dpr", 1.0)
    fit, ratio = _fit(wanted), wanted.get("aspect_ratio")
    width, height = wanted.get("width"), wanted.get("height")
    zoom = wanted.get("zoom", 1.0)
    if ratio is not None and width and height:
        raise conflict("aspect_ratio", "width and height", "one side with aspect_ratio")
    if ratio is not None and (width or height):
        width = width or max(1, round(height * ratio))
        height = height or max(1, round(width / ratio))
        ratio = None
    if width or height:
        width, height = (side and _pixels(side * dpr * zoom) for side in (width, height))
        zoom = 1.0
    # One side alone, or none, leaves nothing to fit; and shrinking is what all do alike.
    boxed = bool(width and height) or ratio is not None
    enlarge = bool(wanted.get("enlarge")) and (fit != "scale-down" or not boxed)
    return {
        "width": width,
        "height": height,
        "fit": ("inside" if fit == "scale-down" else fit) if boxed else "inside",
        "aspect_ratio": ratio,
        "enlarge": enlarge,
        "zoom": zoom,
        "least": tuple(_pixels(wanted.get(f"min_{side}", 0) * dpr) for side in _SIDES),
        "most": tuple(
            _pixels(wanted.get(f"max_{side}") * dpr) if wanted.get(f"max_{side}") else 1 << 30
            for side in _SIDES
        ),
    }


_SIDES = ("width", "height")


def _fit(wanted: Wanted) -> str:
    fit, preserve = wanted.get("fit"), wanted.get("preserve_ratio")
    if preserve is False and fit not in (None, "fill"):
        raise conflict("preserve_ratio=false", f"fit={fit}", "fit=fill")
    if preserve is True and fit == "fill":
        raise conflict("preserve_ratio=true", "fit=fill", "another fit")
    if preserve is False:
        return "fill"
    return str(fit or ("cover" if wanted.get("aspect_ratio") else "inside"))


def _pixels(side: float) -> int:
    pixels = max(1, int(side + 0.5))
    if pixels > MAX_SIDE:
        raise Rejected(
            400,
            "output_too_large",
            f"with dpr and zoom a side is {pixels} pixels",
            limit="side",
            allowed=MAX_SIDE,
            actual=pixels,
        )
    return pixels


def _turned(wanted: Wanted) -> dict[str, Any]:
    """Upside down is mirrored and turned by 180: flips and quarter turns have one form."""
    flip, flop = bool(wanted.get("flip")), bool(wanted.get("flop"))
    angle = (wanted.get("rotate", 0.0) + (180.0 if flip else 0.0)) % 360.0
    quarters = int((angle + 45.0) // 90.0)
    return {
        "orient": wanted.get("orient", True),
        "flop": flip != flop,
        "turn": quarters % 4 * 90,
        "tilt": round(angle - quarters * 90.0, 6) + 0.0,
    }


def _cuts(size: dict[str, Any]) -> bool:
    boxed = (size["width"] and size["height"]) or size["aspect_ratio"] is not None
    return bool(boxed) and size["fit"] == "cover"


def _focus(wanted: Wanted, size: dict[str, Any], evidence: Evidence) -> dict[str, Any]:
    """Gravity says nothing where nothing is cut and nothing padded."""
    gravity, cuts = wanted.get("gravity", "centre"), _cuts(size)
    if gravity == "smart":
        return {"smart": True, "subjects": evidence.subjects()} if cuts else {}
    pads = size["fit"] == "contain" or wanted.get("extend")
    if not cuts and not pads:
        return {}
    return {"focus": GRAVITIES[gravity] if isinstance(gravity, str) else gravity}


def _surroundings(wanted: Wanted, size: dict[str, Any]) -> dict[str, Any]:
    dpr = wanted.get("dpr", 1.0)
    padding = tuple(int(side * dpr + 0.5) for side in wanted.get("padding", (0,)))
    if len(padding) == 1:
        padding *= 4
    elif len(padding) == 2:
        padding *= 2
    sized = size["width"] and size["height"]
    return {
        "background": wanted.get("background"),
        "extend": bool(wanted.get("extend") and sized and size["fit"] != "contain"),
        "padding": padding,
        "corner": int(wanted.get("round", 0) * dpr + 0.5),
        "circle": bool(wanted.get("circle")),
    }


def _crop(wanted: Wanted) -> tuple[str, float, float, float, float] | None:
    crop: tuple[str, float, float, float, float] | None = wanted.get("crop")
    return None if crop == ("share", 0.0, 0.0, 1.0, 1.0) else crop


def _filters(wanted: Wanted) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, wanted.get(name))
        for name, filter_ in FILTERS.items()
        if wanted.get(name) not in (None, filter_.identity) and wanted.get(name) is not False
    )


def _watermark(wanted: Wanted) -> Watermark | None:
    image_id, opacity = wanted.get("watermark"), wanted.get("watermark_opacity", 0.5)
    if image_id is None or opacity == 0:
        return None
    tile = bool(wanted.get("watermark_tile"))
    return Watermark(
        image_id=image_id,
        position="centre" if tile else wanted.get("watermark_position", "southeast"),
        opacity=opacity,
        scale=wanted.get("watermark_scale", 0.25),
        tile=tile,
    )


def _label(wanted: Wanted) -> Label | None:
    if wanted.get("text") is None:
        return None
    return Label(
        text=wanted.get("text"),
        size=int(wanted.get("text_size", 0) * wanted.get("dpr", 1.0) + 0.5),
        colour=wanted.get("text_colour", WHITE),
        background=wanted.get("text_background", SHADE),
        position=wanted.get("text_position", "south"),
    )


def _redaction(wanted: Wanted, evidence: Evidence) -> Redaction | None:
    said = wanted.get("redact")
    if said is None:
        return None
    areas = [area for area in said if area != "faces"]
    if "faces" in said:
        areas += evidence.faces_to_redact()
    style = wanted.get("redact_with", "pixelate")
    return Redaction(areas=tuple(areas), style=style) if areas else None
