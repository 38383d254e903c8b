"""Where a text, or a picture that is not kept here, lies: asked of inference, which has models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
from imagesystem import ids, logs
from imagesystem.errors import ImageSystemError, Rejected, Unavailable
from imagesystem.events.questions import Embed, Embedded
from imagesystem.objects import Bucket, ObjectInfo
from imagesystem.places import Places
from imagesystem.questions import Questions

from metadata_service.remembering import Remembered
from metadata_service.similarity.vectors import MAX_DIMENSIONS, Space, Vector, unit

__all__ = ["Embedder"]

log = logs.get(__name__)

#: Pictures that are received and asked about at once, and that may wait for that.
AT_ONCE, WAITING = 8, 32
#: Seconds in which all of a picture must have come: nobody keeps a place by being slow.
RECEIVE_S = 120.0
#: Seconds for which a text's vector is kept: whoever turns pages asks for it again.
KEPT_S = 10.0


class Embedder:
    """Asks inference for vectors. `examples` has the pictures until they are looked at.

    Both questions raise what inference refuses with (`Rejected` 422 `no_text_encoder`, …) and
    `Unavailable` while it is away.
    """

    def __init__(self, questions: Questions, examples: Bucket, *, timeout_s: float) -> None:
        self._questions = questions
        self._examples = examples
        self._timeout_s = timeout_s
        self._texts: Remembered[tuple[Space, Vector]] = Remembered(KEPT_S)
        self._places = Places(AT_ONCE, WAITING, _too_busy)

    async def text(self, text: str) -> tuple[Space, Vector]:
        """Return where the pictures lie that show what a text says."""
        return await self._texts.get(
            text, lambda: self._ask(Embed(text=text, patience_s=self._timeout_s))
        )

    async def picture(self, pieces: AsyncIterator[bytes]) -> tuple[Space, Vector]:
        """Return where a picture lies that comes in pieces; nothing of it is kept.

        Raises `Rejected` 503 `too_busy`, 408 `body_timeout`, and what reading the pieces raises.
        """
        async with self._places.taken():
            info = await self._received(pieces)
            try:
                return await self._ask(Embed(picture=info.name, patience_s=self._timeout_s))
            finally:
                await asyncio.shield(self._forget(info))

    async def _received(self, pieces: AsyncIterator[bytes]) -> ObjectInfo:
        try:
            async with asyncio.timeout(RECEIVE_S):
                return await self._examples.put(ids.new_id(), pieces)
        except TimeoutError as error:
            raise Rejected(
                408, "body_timeout", f"the picture was not there after {RECEIVE_S:g} s"
            ) from error

    async def _forget(self, info: ObjectInfo) -> None:
        try:
            await self._examples.delete(info)
        except ImageSystemError as error:  # the bucket forgets it by itself
            log.warning("example_left", error=error.message)

    async def _ask(self, question: Embed) -> tuple[Space, Vector]:
        answer = await self._questions.ask(question)
        return _vector_of(answer)


def _vector_of(answer: Embedded) -> tuple[Space, Vector]:
    dimensions, raw = answer.result.dimensions, answer.result.vector
    if not 0 < dimensions <= MAX_DIMENSIONS or len(raw) != 4 * dimensions:
        raise Unavailable("inference", f"{answer.model} answers with no vector that is known here")
    vector = unit(np.frombuffer(raw, dtype="<f4"))
    if vector is None:
        raise Rejected(422, "no_direction", f"{answer.model} sees nothing in it: its vector is 0")
    return Space(answer.model, answer.model_version, dimensions), vector


def _too_busy() -> Rejected:
    # not `Transient`: a refusal has the rest of the body let go, so that its sender hears of it
    return Rejected(
        503, "too_busy", "too many pictures are being looked at", headers={"retry-after": "2"}
    )
