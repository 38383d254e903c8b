"""docs/reference/renditions.md, from the image service's tables of parameters."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from image_service.formats import FORMATS
from image_service.parameters import PARAMETERS, Parameter

from generators.markdown import code, table

__all__ = ["page"]

INTRO = """\
# Parameters of renditions

Of `GET /image/images/{id}`, of `/image/r/{signature}/{options}/{id}.{extension}` (an option is
`name:value`) and of `POST /image/transform`. The order in which they are said does not matter,
and what changes nothing does not count: all ways to say the same are one rendition. A flag needs
no value. What they do, and in which order, is told in
[Renditions](../explanation/renditions.md).
"""


def page(root: Path) -> str:
    """Return the page."""
    del root
    parts = [INTRO]
    for category, rows in groupby(PARAMETERS, key=lambda each: each.category):
        parts.append(f"## {category.capitalize()}\n")
        head = ("parameter", "also", "allowed", "unit", "default", "")
        parts.append(table(head, [_row(each) for each in rows]))
    parts.append("## Formats\n")
    parts.append(
        table(
            ("format", "extension", "media type", "transparency", "quality", "longest side"),
            [
                (
                    code(each.name),
                    code(each.extension),
                    each.media_type,
                    "whole pixels" if each.one_bit else "yes" if each.alpha else "no",
                    each.quality or "lossless",
                    each.max_side,
                )
                for each in FORMATS.values()
            ],
        )
    )
    return "\n".join(parts)


def _row(parameter: Parameter) -> tuple[str, ...]:
    return (
        code(parameter.name),
        ", ".join(code(alias) for alias in parameter.aliases),
        parameter.allowed,
        parameter.unit,
        code(parameter.default),
        parameter.description,
    )
