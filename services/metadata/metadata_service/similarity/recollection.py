"""Looks as documents remember them, so that nobody waits until a start has read all of the log.

Nothing rests on it: MongoDB may be behind the log, or away. What it says is taken with the
sequences that it came with, and the log is read all the same; what is newer there counts.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from imagesystem import logs
from imagesystem.errors import Transient

from metadata_service.queries import Row
from metadata_service.similarity.gallery import Gallery
from metadata_service.similarity.looks import Look, phash_of
from metadata_service.similarity.vectors import Space, Vector, vector_in
from metadata_service.store import Edition

__all__ = ["recall"]

log = logs.get(__name__)

#: What `Look` goes by, in documents.
PATHS = (
    "seq",
    "tombstone.seq",
    "uploaded.sha256",
    "uploaded.width",
    "uploaded.height",
    "uploaded.size_bytes",
    "inferred.analysis.result.phash",
    "inferred.analysis.result.sharpness",
    "inferred.embedding.model",
    "inferred.embedding.model_version",
    "inferred.embedding.result.dimensions",
    "inferred.embedding.result.vector",
    "grouped",
)
#: Documents read at once: with vectors of 512 numbers, 5 MB.
PAGE = 2000
#: Documents taken before others get their turn.
TURN = 64


async def recall(gallery: Gallery, documents: Edition) -> None:
    """Take what documents say of looks into a gallery that has none; gives up when it cannot."""
    if gallery.looks.by_id:
        return
    began = time.perf_counter()
    try:
        await _take_all(gallery, documents)
    except Transient as error:
        log.info("looks_not_recalled", why=error.message)
        return
    seconds = time.perf_counter() - began
    log.info("looks_recalled", images=len(gallery.looks.by_id), seconds=round(seconds, 3))


async def _take_all(gallery: Gallery, documents: Edition) -> None:
    rows = await documents.scan("", PAGE, PATHS)
    while rows:
        # The next ones are on their way while these are taken.
        following = asyncio.create_task(documents.scan(rows[-1]["_id"], PAGE, PATHS))
        try:
            for number, row in enumerate(rows):
                if number % TURN == 0:
                    await asyncio.sleep(0)
                gallery.recall(row["_id"], *_look(row))
            rows = await following
        finally:
            following.cancel()


def _look(row: Row) -> tuple[Look, Vector | None]:
    seq, uploaded = row.get("seq") or {}, row.get("uploaded") or {}
    inferred, grouped = row.get("inferred") or {}, row.get("grouped") or {}
    result = (inferred.get("analysis") or {}).get("result") or {}
    space, vector = _placed(inferred.get("embedding") or {})
    look = Look(
        uploaded=seq.get("uploaded", 0),
        deleted=(row.get("tombstone") or {}).get("seq", 0),
        analysis=seq.get("inferred.analysis", 0),
        # Without a vector that can be read here, the log is to say it again.
        embedding=0 if vector is None else seq.get("inferred.embedding", 0),
        grouped=seq.get("grouped.duplicates", 0),
        sha256=uploaded.get("sha256", ""),
        pixels=uploaded.get("width", 0) * uploaded.get("height", 0),
        size_bytes=uploaded.get("size_bytes", 0),
        phash=phash_of(result.get("phash", "")),
        sharpness=result.get("sharpness", 0.0),
        space=space,
        group=grouped.get("group"),
        keeper=grouped.get("keeper"),
    )
    return look, vector


def _placed(embedding: dict[str, Any]) -> tuple[Space | None, Vector | None]:
    result = embedding.get("result") or {}
    raw, dimensions = result.get("vector"), result.get("dimensions")
    if not isinstance(raw, bytes) or not isinstance(dimensions, int):
        return None, None
    vector = vector_in(raw, dimensions)
    if vector is None:
        return None, None
    return Space(embedding["model"], embedding["model_version"], dimensions), vector
