"""docs/reference/operations.md, from the augmentation engine's registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from augmentation_service.engine.registry import REGISTRY

from generators.markdown import code, table

__all__ = ["page"]

INTRO = """\
# Augmentation operations

A recipe is a list of steps. A step names an operation and its parameters; a parameter is a value,
a range to draw from (`{"min": …, "max": …}`), or choices to draw from (`{"choices": […]}`). A
step may have a `probability`.

`exact`: made by integer arithmetic, the same pixels on every machine. Otherwise the tolerance
says how far machines may differ. *Moves labels*: boxes and keypoints go where the pixels go.
"""


def page(root: Path) -> str:
    """Return the page."""
    del root
    parts = [INTRO]
    parts.append(
        table(
            ("operation", "category", "moves labels", "exact", ""),
            [
                (
                    f"[{operation.name}](#{operation.name})",
                    operation.category,
                    "yes" if operation.moves_labels else "no",
                    "yes" if operation.exact else operation.tolerance,
                    operation.description,
                )
                for operation in REGISTRY.values()
            ],
        )
    )
    for operation in REGISTRY.values():
        parts.append(f"## {operation.name}\n")
        parts.append(f"{operation.description} Version {operation.version}.\n")
        if operation.parameters:
            rows = [_row(parameter) for parameter in operation.parameters]
            parts.append(table(("parameter", "allowed", "unit", "default", ""), rows))
        else:
            parts.append("It has no parameters.\n")
    return "\n".join(parts)


def _row(parameter: Any) -> tuple[str, str, str, str, str]:
    default = (
        "required"
        if parameter.default is None
        else code(msgspec.json.encode(parameter.default).decode().strip('"'))
    )
    unit = getattr(parameter, "unit", "")
    return code(parameter.name), parameter.allowed, unit, default, parameter.description
