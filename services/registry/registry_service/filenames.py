"""Filenames that clients send: for people to read, never for a path, never for the type."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

__all__ = ["MAX_BYTES", "NAMELESS", "clean"]

#: Bytes of UTF-8: what every file system takes.
MAX_BYTES = 255
NAMELESS = "upload"


def clean(name: str) -> str:
    """Return `name` without folders, control and invisible characters, at most 255 bytes.

    A name that is too long loses the end of its stem and keeps its extension. Quotes and
    semicolons are part of a name: whoever writes a header with it has to quote them.
    """
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    name = name[max(name.rfind("/"), name.rfind("\\")) + 1 :]
    # category C: control, format (also what turns text around), surrogate, private, unassigned
    name = "".join(c if unicodedata.category(c)[0] not in "CZ" else " " for c in name)
    name = " ".join(name.split())
    if not name.strip(". "):
        return NAMELESS
    if len(name.encode()) <= MAX_BYTES:
        return name
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > MAX_BYTES // 4:
        suffix = ""
    stem = name[: len(name) - len(suffix)].encode()[: MAX_BYTES - len(suffix.encode())]
    return stem.decode(errors="ignore").rstrip() + suffix
