"""docs/reference/cli.md, from the typer app."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from local_stack.cli import app

from generators.markdown import code, table

__all__ = ["page"]

INTRO = """\
# Command line

`image-system` runs the whole system on this machine. From a checkout: `uv run image-system …`. An
error is one line on standard error and exit status 1; wrong usage is exit status 2.
"""


def page(root: Path) -> str:
    """Return the page."""
    del root
    parts = [INTRO]
    for name, command in _commands(typer.main.get_command(app), "image-system"):
        parts.append(f"## `{name}`\n")
        parts.append(" ".join((command.help or "").split()) + "\n")
        hints = get_type_hints(inspect.unwrap(command.callback))
        rows = [
            _row(parameter, hints[parameter.name])
            for parameter in command.params
            if parameter.name in hints
        ]
        parts.append(table(("", "default", ""), rows) if rows else "It has no options.\n")
    return "\n".join(parts)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    else:
        if getattr(command, "invoke_without_command", False):
            yield name, command
        for each in inner.values():
            yield from _commands(each, f"{name} {each.name}")


def _row(parameter: Any, kind: Any) -> tuple[str, str, str]:
    if parameter.param_type_name == "argument":
        name = parameter.name.upper()
    elif kind is bool:
        name = ", ".join(parameter.opts)
    else:
        name = f"{', '.join(parameter.opts)} {parameter.metavar or _words(kind)}"
    if parameter.required:
        default = "required"
    else:
        default = "" if parameter.default in (None, False, [], ()) else code(parameter.default)
    text = getattr(parameter, "help", None) or ""
    return code(name), default, text + (" May be repeated." if parameter.multiple else "")


def _words(kind: Any) -> str:
    choices = get_args(kind)
    if type(None) in choices:  # an option that may be left out
        return _words(next(choice for choice in choices if choice is not type(None)))
    if choices:
        return "|".join(str(choice) for choice in choices)
    return {int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(kind, "TEXT")
