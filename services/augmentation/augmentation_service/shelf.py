"""Recipes that have a name: kept for good, each version as it was.

::

    augmentation.<name>.<version>     the recipe, once
    augmentation.<name>.head          the version that was given last, and whether it is deleted

in the key-value bucket `recipes`. A name that was deleted and comes back goes on counting, so
that `name@3` never means two things.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from imagesystem import ids
from imagesystem.errors import Rejected, WrongSequence
from imagesystem.keyvalue import Entry, KeyValue

from augmentation_service import requests

__all__ = ["KeptRecipe", "Shelf"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_REFERENCE = re.compile(r"([^@]{1,64})(?:@([1-9][0-9]{0,8}))?")
_MAX_BYTES = 512 * 1024


class KeptRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a recipe; `reference` is what a request may have in place of steps."""

    name: str
    version: int
    reference: str
    created_at: datetime
    description: str | None = None
    recipe: list[Any]


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    deleted: bool = False


class Shelf:
    """Where recipes are kept."""

    def __init__(self, keys: KeyValue, max_steps: int) -> None:
        self._keys = keys
        self._max_steps = max_steps

    async def put(self, name: str, recipe: Any, description: str | None) -> tuple[KeptRecipe, bool]:
        """Keep a recipe as the next version of its name; False if it is the latest already.

        Raises `Rejected` 400: what is wrong with the name or the recipe.
        """
        check_name(name)
        requests.recipe_of(recipe, self._max_steps)
        if len(msgspec.json.encode(recipe)) > _MAX_BYTES:
            raise requests.invalid(f"a recipe that is kept has {_MAX_BYTES} bytes at most")
        while True:
            head, revision = await self._head(name)
            if head is not None and not head.deleted:
                latest = await self._version(name, head.version)
                if latest and (latest.recipe, latest.description) == (recipe, description):
                    return latest, False
            version = (head.version if head else 0) + 1
            kept = KeptRecipe(
                name=name,
                version=version,
                reference=f"{name}@{version}",
                created_at=ids.now(),
                description=description,
                recipe=recipe,
            )
            key = _key(name, str(version))
            try:
                await self._keys.put(key, msgspec.json.encode(kept), expected=0)
            except WrongSequence:
                # Somebody else's, who may have died before the head was written.
                await self._advance(name, version, revision)
                continue
            await self._advance(name, version, revision)
            return kept, True

    async def _advance(self, name: str, version: int, revision: int) -> None:
        head = msgspec.json.encode(_Head(version=version))
        with suppress(WrongSequence):  # somebody else did it
            await self._keys.put(_key(name, "head"), head, expected=revision)

    async def get(self, name: str, version: int | None = None) -> KeptRecipe:
        """Return a version, the latest if none is said; raises `Rejected` 404 `unknown_recipe`."""
        head = (await self._head(name))[0] if _NAME.fullmatch(name) else None
        if head is None or head.deleted or (version or 0) > head.version:
            raise _unknown(name, version)
        kept = await self._version(name, version or head.version)
        if kept is None:
            raise _unknown(name, version)
        return kept

    async def find(self, reference: str) -> KeptRecipe:
        """Return what `name` or `name@3` refers to; raises `Rejected` 400, 404."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise requests.invalid(
                f"{reference[:64]!r} is no recipe: give steps, or `name@version`"
            )
        return await self.get(match[1], int(match[2]) if match[2] else None)

    async def steps(self, recipe: Any) -> tuple[Any, str | None]:
        """Return the steps that a request means, and what they are called if it is by name."""
        if not isinstance(recipe, str):
            return recipe, None
        kept = await self.find(recipe)
        return kept.recipe, kept.reference

    async def versions(self, name: str) -> list[KeptRecipe]:
        """Return all versions of a name, oldest first; raises `Rejected` 404."""
        latest = await self.get(name)
        found = [await self._version(name, number) for number in range(1, latest.version + 1)]
        return [kept for kept in found if kept is not None]

    async def latest(self, after: int, limit: int) -> tuple[list[KeptRecipe], int | None]:
        """Return the latest version of names, and where to go on: None at the end."""
        heads = await self._keys.entries(_key("*", "head"), after=after, limit=limit)
        found = []
        for entry in heads:
            head = msgspec.json.decode(entry.value, type=_Head)
            name = entry.key.split(".")[1]
            kept = None if head.deleted else await self._version(name, head.version)
            if kept is not None:
                found.append(kept)
        return found, heads[-1].revision if len(heads) == limit else None

    async def delete(self, name: str) -> None:
        """Remove all versions of a name; raises `Rejected` 404."""
        latest = await self.get(name)
        head = msgspec.json.encode(_Head(version=latest.version, deleted=True))
        await self._keys.put(_key(name, "head"), head)
        for number in range(1, latest.version + 1):
            await self._keys.remove(_key(name, str(number)))

    async def _head(self, name: str) -> tuple[_Head | None, int]:
        entry = await self._keys.get(_key(name, "head"))
        if entry is None:
            return None, 0
        return msgspec.json.decode(entry.value, type=_Head), entry.revision

    async def _version(self, name: str, version: int) -> KeptRecipe | None:
        entry: Entry | None = await self._keys.get(_key(name, str(version)))
        return None if entry is None else msgspec.json.decode(entry.value, type=KeptRecipe)


def check_name(name: str) -> None:
    """Raise `Rejected` 400 `invalid_name` unless a recipe can be called that."""
    if not _NAME.fullmatch(name):
        raise Rejected(
            400,
            "invalid_name",
            f"{name[:64]!r} is no name: 1 to 64 letters, digits, `_` and `-`, beginning with a "
            "letter or digit",
        )


def _unknown(name: str, version: int | None) -> Rejected:
    asked = name if version is None else f"{name}@{version}"
    return Rejected(404, "unknown_recipe", f"there is no recipe {asked[:80]!r}")


def _key(*tokens: str) -> str:
    return ".".join(("augmentation", *tokens))
