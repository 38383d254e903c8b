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
from metadata_service.similarity.vectors import Space, fits
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
TURN = 128


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
            for first in range(0, len(rows), TURN):
                await asyncio.sleep(0)
                gallery.recall([_picture(row) for row in rows[first : first + TURN]])
            rows = await following
        finally:
            following.cancel()


def _picture(row: Row) -> tuple[str, Look, bytes]:
    seq, uploaded = row.get("seq") or {}, row.get("uploaded") or {}
    inferred, grouped = row.get("inferred") or {}, row.get("grouped") or {}
    result = (inferred.get("analysis") or {}).get("result") or {}
    space, raw = _placed(inferred.get("embedding") or {})
    look = Look(
        uploaded=seq.get("uploaded", 0),
        deleted=(row.get("tombstone") or {}).get("seq", 0),
        analysis=seq.get("inferred.analysis", 0),
        # Without a vector that can be read here, the log is to say it again.
        embedding=0 if space is None else seq.get("inferred.embedding", 0),
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
    return row["_id"], look, raw


def _placed(embedding: dict[str, Any]) -> tuple[Space | None, bytes]:
    result = embedding.get("result") or {}
    raw, dimensions = result.get("vector"), result.get("dimensions")
    if not isinstance(raw, bytes) or not isinstance(dimensions, int) or not fits(raw, dimensions):
        return None, b""
    return Space(embedding["model"], embedding["model_version"], dimensions), raw
