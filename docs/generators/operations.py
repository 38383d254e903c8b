"""docs/reference/operations.md, from the augmentation engine's registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from augmentation_service.engine import ALIASES, POLICIES, REGISTRY

from generators.markdown import code, table

__all__ = ["page"]

INTRO = """\
# Augmentation operations

A recipe is a list of steps. A step names an operation and its parameters; a parameter is a value,
a range to draw from (`[…, …]` or `{"min": …, "max": …}`), or choices to draw from
(`{"choices": […]}`). A step may have a `probability`, and may stand in a group:
[how](../how-to/augment-in-python.md).

`exact`: made by integer arithmetic, the same pixels on every machine. Otherwise the tolerance
says how far machines may differ. Cost, on 512 × 512 RGB and one core: low is below 1 ms, medium
below 10 ms, high above. `GET /augmentation/operations/<name>/example` shows each of them.
"""

ALIASES_INTRO = """\
These names and parameters stand for operations above. Where both have a name, the parameters that
are given say which is meant.
"""


def page(root: Path) -> str:
    """Return the page."""
    del root
    parts = [INTRO]
    parts.append(
        table(
            ("operation", "category", "boxes", "cost", "exact", ""),
            [
                (
                    f"[{operation.name}](#{operation.name})",
                    operation.category,
                    operation.effects.boxes,
                    operation.cost,
                    "yes" if operation.exact else operation.tolerance,
                    operation.description,
                )
                for operation in REGISTRY.values()
            ],
        )
    )
    for operation in REGISTRY.values():
        parts.append(f"## {operation.name}\n")
        effects = operation.effects
        parts.append(
            f"{operation.description} Version {operation.version}. Boxes: {effects.boxes}; "
            f"keypoints: {effects.keypoints}; masks: {effects.masks}.\n"
        )
        parts.append(_parameters(operation.parameters))
    parts.append("## Policies\n")
    for policy in POLICIES.values():
        parts.append(f"### {policy.name}\n")
        parts.append(f"{policy.description} ({policy.paper}.)\n")
        parts.append(_parameters(policy.parameters))
    parts.append("## Names of the first service\n")
    parts.append(ALIASES_INTRO)
    for alias in ALIASES.values():
        parts.append(f"### {alias.name} ({alias.operation})\n")
        parts.append(_parameters(alias.parameters))
    return "\n".join(parts)


def _parameters(parameters: tuple[Any, ...]) -> str:
    if not parameters:
        return "It has no parameters.\n"
    rows = [_row(parameter) for parameter in parameters]
    return table(("parameter", "allowed", "unit", "default", ""), rows)


def _row(parameter: Any) -> tuple[str, str, str, str, str]:
    default = (
        "required"
        if parameter.default is None
        else code(msgspec.json.encode(parameter.default).decode().strip('"'))
    )
    unit = getattr(parameter, "unit", "")
    return code(parameter.name), parameter.allowed, unit, default, parameter.description
