"""What other services ask: where a text, or a picture that nobody keeps, lies among embeddings."""

from __future__ import annotations

from imagesystem.errors import ObjectMissing, Rejected, Transient
from imagesystem.events import Embedding
from imagesystem.events.questions import Embed, Embedded
from imagesystem.objects import Bucket

from inference_service.bodies import MOST_CHARACTERS
from inference_service.enquiries import Enquiries

__all__ = ["Embedder"]


class Embedder:
    """Answers `questions.v1.embed`; `examples` has the pictures that are asked about."""

    def __init__(self, enquiries: Enquiries, examples: Bucket, max_upload_bytes: int) -> None:
        self._enquiries = enquiries
        self._examples = examples
        self._most = max_upload_bytes

    async def embed(self, question: Embed) -> Embedded:
        """Return the vector; raises what `Enquiries.answer` and `answer_text` do."""
        if (question.text is None) == (question.picture is None):
            raise Rejected(400, "invalid_request", "a text or a picture is embedded, one of them")
        if question.text is not None:
            return await self._text(question.text)
        return await self._picture(str(question.picture))

    async def _text(self, text: str) -> Embedded:
        if not 0 < len(text) <= MOST_CHARACTERS:
            raise Rejected(
                400,
                "invalid_request",
                f"a text has 1 to {MOST_CHARACTERS} characters",
                allowed=MOST_CHARACTERS,
                actual=len(text),
            )
        answer = await self._enquiries.answer_text(text)
        return Embedded(
            model=answer.model, model_version=answer.model_version, result=answer.result
        )

    async def _picture(self, name: str) -> Embedded:
        info = await self._examples.info(name)
        if info is not None and info.size > self._most:
            raise Rejected(
                413,
                "body_too_large",
                f"the picture has more than {self._most} bytes",
                limit="MAX_UPLOAD_BYTES",
                allowed=self._most,
                actual=info.size,
            )
        verdict, result = await self._enquiries.answer(lambda: self._bytes(name), "embedding")
        assert isinstance(result, Embedding)  # noqa: S101  that is the task's result
        return Embedded(model=verdict.model, model_version=verdict.version, result=result)

    async def _bytes(self, name: str) -> bytes:
        try:
            return (await self._examples.get(name))[1]
        except ObjectMissing as error:  # others came, and there was no room for all
            raise Transient("the picture is gone: send it again", code=error.code) from error
