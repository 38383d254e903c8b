"""What is answered to those who ask and wait: a task's answer now, what was found, a drawing."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TypeAlias

from imagesystem.errors import Rejected, Transient
from imagesystem.places import Places
from imagesystem.poison import Poison
from imagesystem.workers import WorkerDied

from inference_service.answers import EmbeddingAnswer
from inference_service.examination import Examination
from inference_service.looking import Verdict
from inference_service.models import Result
from inference_service.networks.network import Network, embed_text
from inference_service.recognition import Recognition

__all__ = ["Enquiries", "Read"]

#: Returns the bytes of a picture; called when there is a place for them.
Read: TypeAlias = Callable[[], Awaitable[bytes]]

#: Who may wait for each worker before whoever asks is turned away.
MOST_WAITING = 16


class Enquiries:
    """Questions over HTTP; nothing is kept."""

    def __init__(self, recognition: Recognition, examination: Examination) -> None:
        self._recognition = recognition
        self._examination = examination
        size = examination.pool.size
        # One more than work: the next picture is read while the workers are busy.
        self._places = Places(size + 1, MOST_WAITING * size, _too_busy)
        self._poison = Poison()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return self._places.waiting

    async def result(self, image_id: str, task: str) -> Result:
        """Return what a task has said about an image; raises as `uploaded` does, and
        `Rejected` 404 `no_result` when it has said nothing yet.
        """
        known = await self._recognition.uploaded(image_id)
        results = known.results([task])
        if task not in results:
            told = "failed" if known.failed(task) else "has no answer yet"
            raise Rejected(404, "no_result", f"{task} {told} for image {image_id}")
        return results[task]

    async def drawn(self, image_id: str, task: str, result: Result, side: int) -> bytes:
        """Return a PNG of an image with a result drawn on it; raises as `answer` does."""
        async with self._places.taken():
            data = await self._recognition.original(image_id)
            return await self._poison.tried(
                f"{image_id} drawn", lambda: self._examination.drawn(data, task, result, side)
            )

    async def answer(self, read: Read, task: str) -> tuple[Verdict, Result]:
        """Return one task's verdict and result, for somebody who waits.

        Raises `Rejected`: what decoding raises, 422 `unprocessable_picture` (it kills its
        worker), 422 and the task's own code; `Transient`: `too_busy`, `deadline_exceeded`,
        `model_failing`, and the task's own code.
        """
        async with self._places.taken():
            if not self._recognition.allows(task):
                raise Transient(f"{task}: {self._recognition.trouble(task)}", code="model_failing")
            data = await read()
            digest = await asyncio.to_thread(hashlib.sha256, data)
            name = f"{digest.hexdigest()} {task}"
            return await self._poison.tried(name, lambda: self._answer(data, task))

    async def _answer(self, data: bytes, task: str) -> tuple[Verdict, Result]:
        last: Verdict | None = None
        async with aclosing(self._examination.verdicts(data, [task])) as verdicts:
            async for verdict in verdicts:
                if verdict.task == task or verdict.result is None:
                    last = verdict
        assert last is not None  # noqa: S101  the task, or what it needs, has a verdict
        if last.result is not None:
            return last, last.result
        if last.code == WorkerDied.code:
            raise WorkerDied(last.message)
        if last.transient:
            raise Transient(last.message, code=last.code)
        raise Rejected(422, last.code, last.message)

    async def answer_text(self, text: str) -> EmbeddingAnswer:
        """Return a text as a vector in the space of the pictures' embeddings.

        Raises `Rejected` 422 `no_text_encoder`, `Transient` as `answer` does.
        """
        model = self._recognition.models["embedding"]
        if not isinstance(model.run, Network) or model.run.spec.file("text") is None:
            raise Rejected(
                422,
                "no_text_encoder",
                f"{model.name} embeds pictures alone; a pair as clip-vit-b32 embeds texts too",
            )
        started = time.perf_counter()
        async with self._places.taken():
            found = await self._examination.pool.run(embed_text, model.run, text)
        return EmbeddingAnswer(
            model=model.name,
            model_version=model.version,
            duration_ms=round((time.perf_counter() - started) * 1000, 3),
            result=found,
        )


def _too_busy() -> Transient:
    return Transient("too many pictures are waiting for a worker", code="too_busy")
