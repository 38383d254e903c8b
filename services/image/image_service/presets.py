"""Parameters by name, from the configuration: `thumb` instead of `width=160&height=160&…`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from imagesystem.errors import Rejected

from image_service.kinds import Value
from image_service.parameters import Wanted, parse

__all__ = ["Presets", "load"]

#: What presets are made of, not part of one; who may ask is not theirs to say either.
_NOT_IN_A_PRESET = ("preset", "fallback")

#: What can be said where nothing but presets can be asked for: few enough renditions.
_ALONGSIDE = frozenset({"preset", "format"})


class Presets(msgspec.Struct, frozen=True, kw_only=True):
    """The presets by name; `only`: nothing else (but a format) can be asked for."""

    table: Mapping[str, Mapping[str, Value]] = {}
    only: bool = False

    def expanded(self, wanted: Wanted) -> Wanted:
        """Return what is wanted with its presets resolved: the later one, and what was said, win.

        Raises `Rejected` 400: `unknown_preset`, `presets_only`.
        """
        if self.only and (others := sorted(wanted.values.keys() - _ALONGSIDE)):
            raise Rejected(
                400,
                "presets_only",
                f"{others[0]} cannot be asked for here, only presets",
                limit=others[0],
                allowed=self._names(),
                actual=others[0],
            )
        if wanted.get("preset") is None:
            return wanted
        base: dict[str, Value] = {}
        for name in wanted.get("preset").split(","):
            if name not in self.table:
                raise Rejected(
                    400,
                    "unknown_preset",
                    f"there is no preset {name[:64]!r}",
                    limit="preset",
                    allowed=self._names(),
                    actual=name[:64],
                )
            base |= self.table[name]
        return wanted.without("preset").over(base)

    def _names(self) -> str:
        return f"preset={'|'.join(sorted(self.table))}" if self.table else "none is configured"


def load(text: str) -> dict[str, Mapping[str, Value]]:
    """Read presets: `name=query;name=query`, or the path of a TOML file.

    In the file, each key is a preset: a query, or a table of parameters. Raises `ValueError`
    with one line that names the preset and what is wrong.
    """
    presets: dict[str, Mapping[str, Value]] = {}
    for name, query in _queries(text):
        if not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{name!r} cannot be the name of a preset: letters, digits, - and _")
        if name in presets:
            raise ValueError(f"preset {name} is there twice")
        try:
            wanted = parse(query)
        except Rejected as error:
            raise ValueError(f"preset {name}: {error.message} ({error.allowed})") from error
        if wanted is None or any(wanted.get(each) is not None for each in _NOT_IN_A_PRESET):
            raise ValueError(f"preset {name}: {query!r} asks for no rendition of its own")
        presets[name] = wanted.values
    return presets


def _queries(text: str) -> list[tuple[str, str]]:
    if text.endswith(".toml"):
        try:
            document = tomllib.loads(Path(text).read_text())
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{text}: {error}") from error
        return [(name, _query(value)) for name, value in document.items()]
    pairs = [entry.partition("=") for entry in text.split(";") if entry.strip()]
    return [(name.strip(), query.strip()) for name, _, query in pairs]


def _query(value: Any) -> str:
    if isinstance(value, dict):
        return urlencode({name: _text(each) for name, each in value.items()})
    return str(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
