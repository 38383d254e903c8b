"""The demonstration: upload photographs, wait for what the system finds out, show it."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from local_stack.errors import StackError

__all__ = ["Found", "pictures", "render", "show_and_tell"]

_FOLDER = Path(__file__).resolve().parents[3] / "tests" / "data"
_TYPES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff"})
_WAIT_S = 10
_PATIENCE_S = 120.0
_REQUEST_S = 60.0
_AGAIN_S = 0.2


class _Colour(msgspec.Struct, frozen=True):
    name: str
    hex: str
    share: float


class _Kind(msgspec.Struct, frozen=True):
    name: str
    confidence: float


class _Result(msgspec.Struct, frozen=True):
    colours: list[_Colour]
    kind: _Kind


class _Task(msgspec.Struct, frozen=True):
    result: _Result


class _Named(msgspec.Struct, frozen=True):
    """A label, by its name, or an object, by its label."""

    name: str = ""
    label: str = ""
    decoded: str | None = None


class _Labels(msgspec.Struct, frozen=True):
    labels: list[_Named]


class _Objects(msgspec.Struct, frozen=True):
    objects: list[_Named]


class _Faces(msgspec.Struct, frozen=True):
    faces: list[dict[str, Any]]


class _Text(msgspec.Struct, frozen=True):
    text: str


class _LabelsTask(msgspec.Struct, frozen=True):
    result: _Labels


class _ObjectsTask(msgspec.Struct, frozen=True):
    result: _Objects


class _FacesTask(msgspec.Struct, frozen=True):
    result: _Faces


class _TextTask(msgspec.Struct, frozen=True):
    result: _Text


class _Inferred(msgspec.Struct, frozen=True):
    analysis: _Task | None = None
    labels: _LabelsTask | None = None
    objects: _ObjectsTask | None = None
    faces: _FacesTask | None = None
    text: _TextTask | None = None


class _Failure(msgspec.Struct, frozen=True):
    message: str


class Found(msgspec.Struct, frozen=True):
    """What the metadata service knows about a picture: the part of its answer shown here."""

    id: str
    filename: str
    status: str
    media_type: str
    size_bytes: int
    width: int
    height: int
    inferred: _Inferred
    failed: dict[str, _Failure] = {}


def pictures(folder: Path = _FOLDER) -> list[Path]:
    """Return the demo photographs; raises `StackError` if they are not there."""
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in _TYPES)
    if not found:
        raise StackError(f"no pictures in {folder}: --demo runs from a complete checkout")
    return found


async def show_and_tell(url: str, paths: Iterable[Path]) -> list[Found]:
    """Upload `paths` to the system at `url`; return what is known about each once it is ready.

    Raises `StackError` when the system refuses a picture or does not answer.
    """
    async with httpx.AsyncClient(base_url=url, timeout=_REQUEST_S, trust_env=False) as http:
        try:
            return await asyncio.gather(*(_one(http, path) for path in paths))
        except httpx.HTTPError as error:
            raise StackError(f"the demo ended: {error or type(error).__name__}") from error


async def _one(http: httpx.AsyncClient, path: Path) -> Found:
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    file = (path.name, await asyncio.to_thread(path.read_bytes), media_type)
    answer = await http.post("/registry/upload", files={"file": file})
    if answer.status_code not in (httpx.codes.OK, httpx.codes.CREATED):
        raise StackError(f"{path.name} was refused ({answer.status_code}): {answer.text}")
    links: dict[str, Any] = answer.json()["links"]
    clock = asyncio.get_running_loop().time
    deadline = clock() + _PATIENCE_S
    while True:
        answer = await http.get(links["metadata"], params={"wait": "ready", "timeout": _WAIT_S})
        if answer.status_code == httpx.codes.OK:
            found = msgspec.json.decode(answer.content, type=Found)
            if found.status != "pending" or clock() > deadline:
                return found
        elif clock() > deadline:
            raise StackError(
                f"nothing is known about {path.name} after {_PATIENCE_S:g} s: {answer.text}"
            )
        await asyncio.sleep(_AGAIN_S)


def _size(found: Found) -> str:
    size = found.size_bytes / 1024
    amount = f"{size:.0f} KiB" if size < 1024 else f"{size / 1024:.1f} MiB"
    return f"{found.width} x {found.height} pixels, {amount}, {found.media_type}"


def _findings(found: Found) -> dict[str, str | Text]:
    """Return what the analysis says, or why there is none."""
    if found.inferred.analysis is None:
        reasons = "; ".join(f"{stage}: {why.message}" for stage, why in found.failed.items())
        return {"status": f"{found.status} ({reasons})" if reasons else found.status}
    result = found.inferred.analysis.result
    colours = Text()
    for colour in result.colours:
        colours.append("■ ", style=colour.hex)
        colours.append(f"{colour.name} {colour.share:.0%}  ")
    kind = f"{result.kind.name} ({result.kind.confidence:.0%} sure)"
    return {"kind": kind, "colours": colours, **_recognised(found.inferred)}


def _recognised(inferred: _Inferred) -> dict[str, str | Text]:
    """Return what the other tasks say, those that found anything."""
    told: dict[str, str] = {}
    if inferred.labels:
        told["labels"] = ", ".join(label.name for label in inferred.labels.result.labels)
    if inferred.objects:
        told["objects"] = ", ".join(
            f"{thing.label} {thing.decoded or ''}".strip()
            for thing in inferred.objects.result.objects
        )
    if inferred.faces and inferred.faces.result.faces:
        told["faces"] = str(len(inferred.faces.result.faces))
    if inferred.text:
        told["text"] = inferred.text.result.text[:200]
    # what is written in pictures is no markup
    return {name: Text(value) for name, value in told.items() if value}


def render(url: str, found: Iterable[Found]) -> RenderableType:
    """Return a table of what was found out, a section for each picture."""
    table = Table("picture", "what the system found out", box=SIMPLE_HEAD, show_lines=True)
    for one in found:
        facts = Table.grid(padding=(0, 1))
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column(overflow="fold")
        facts.add_row("id", one.id)
        facts.add_row("size", _size(one))
        for name, value in _findings(one).items():
            facts.add_row(name, value)
        facts.add_row("original", f"{url}/image/images/{one.id}")
        facts.add_row("thumbnail", f"{url}/image/images/{one.id}?width=320")
        facts.add_row("everything", f"{url}/metadata/images/{one.id}")
        table.add_row(one.filename, facts)
    return table
