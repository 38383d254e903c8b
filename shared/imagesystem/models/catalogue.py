"""The models that may be downloaded, as `models.toml` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import msgspec

from imagesystem.models.specs import BadModel, ModelSpec, by_name

__all__ = ["catalogue", "parse"]


class _Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: tuple[ModelSpec, ...] = ()


def catalogue() -> Mapping[str, ModelSpec]:
    """Return the models that come with this package's list, by name."""
    return parse(files("imagesystem.models").joinpath("models.toml").read_bytes(), "models.toml")


def parse(text: bytes, where: str) -> Mapping[str, ModelSpec]:
    """Return the models of a catalogue in TOML, by name.

    Raises `BadModel` naming `where` and what is wrong.
    """
    try:
        return by_name(msgspec.toml.decode(text, type=_Catalogue).model)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadModel(f"{where}: {error}") from error
    except BadModel as error:
        raise BadModel(f"{where}: {error.message}") from error
