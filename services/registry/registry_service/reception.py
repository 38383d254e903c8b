"""Receiving pictures: from a form or a raw body into spools, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager

import msgspec
from imagesystem import forms
from imagesystem.bodies import Body, BodyLimit, Receive
from imagesystem.errors import Rejected, Unavailable
from imagesystem.ids import PUBLIC
from imagesystem.spools import Spool, Spools

from registry_service import filenames, tags
from registry_service.measures import Measures
from registry_service.settings import Settings

__all__ = ["Arrival", "Delivery", "Reception"]

#: Bytes around the pictures of a form: boundaries, headers, tags.
FORM_OVERHEAD = 1024 * 1024
TAGS_FIELD = "tags"
MAX_TEXT_BYTES = 64 * 1024
MAX_TEXT_PARTS = 200


class Arrival(msgspec.Struct):
    """One picture that has arrived; `refused` when it was too large and its bytes were let go."""

    spool: Spool
    filename: str
    refused: Rejected | None = None


class Delivery(ExitStack):
    """What one request brought. Closed, all of it is gone from memory and disk."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[Arrival] = []
        self.tags: list[str] = []


class Reception:
    """Receives request bodies: MAX_CONCURRENT_UPLOADS and MAX_CONCURRENT_BATCHES at a time."""

    def __init__(self, settings: Settings, measures: Measures) -> None:
        self._settings = settings
        self._measures = measures
        self._turns = asyncio.Semaphore(settings.max_concurrent_uploads)
        # apart, because each may have MAX_BATCH_FILES files open
        self._batch_turns = asyncio.Semaphore(settings.max_concurrent_batches)
        self._spools = Spools(
            memory_each=settings.spool_bytes,
            memory_all=settings.spool_memory_bytes,
            directory=settings.spool_dir,
        )

    @property
    def unwritable(self) -> str | None:
        """None while pictures can be spooled to disk, else one line that says why not."""
        return self._spools.unwritable

    @asynccontextmanager
    async def form(self, receive: Receive, headers: Mapping[str, str]) -> AsyncIterator[Delivery]:
        """Receive a form with exactly one picture.

        Raises `Rejected`: 400 `missing_file`, `too_many_files`, `unknown_field`,
        `malformed_multipart`, and what `bodies`, `forms` and `tags` say.
        """
        size = self._settings.max_upload_bytes
        limit = BodyLimit(name="MAX_UPLOAD_BYTES", allowed=size, overhead=FORM_OVERHEAD)
        body = Body(receive, headers, limit, self._settings.idle_timeout_s)
        async with self._receiving(body, self._turns) as delivery:
            with self._measures.stage("receive"):
                await self._read_form(delivery, body.read(), headers, one=True)
            yield delivery

    @asynccontextmanager
    async def batch(self, receive: Receive, headers: Mapping[str, str]) -> AsyncIterator[Delivery]:
        """Receive a form with many pictures; those too large are `refused`, each for itself.

        Raises `Rejected` as `form`, and 413 `too_many_files` and `body_too_large`
        (MAX_BATCH_FILES, MAX_BATCH_BYTES) for the whole.
        """
        size = self._settings.max_batch_bytes
        limit = BodyLimit(name="MAX_BATCH_BYTES", allowed=size)
        body = Body(receive, headers, limit, self._settings.idle_timeout_s)
        async with self._receiving(body, self._batch_turns) as delivery:
            await self._read_form(delivery, body.read(), headers, one=False)
            yield delivery

    @asynccontextmanager
    async def raw(
        self, receive: Receive, headers: Mapping[str, str], filename: str, texts: list[str]
    ) -> AsyncIterator[Delivery]:
        """Receive a body that is one picture; `texts` are its tags, comma-separated."""
        limit = BodyLimit(name="MAX_UPLOAD_BYTES", allowed=self._settings.max_upload_bytes)
        wanted = tags.parse(texts)
        body = Body(receive, headers, limit, self._settings.idle_timeout_s)
        async with self._receiving(body, self._turns) as delivery:
            delivery.tags = wanted
            spool = self._open(delivery, filename).spool
            with self._measures.stage("receive"):
                async for data in body.read():
                    await spool.write(data)
                await spool.finish()
            yield delivery

    @asynccontextmanager
    async def _receiving(self, body: Body, turns: asyncio.Semaphore) -> AsyncIterator[Delivery]:
        async with body:
            try:
                async with asyncio.timeout(self._settings.idle_timeout_s):
                    await turns.acquire()
            except TimeoutError as error:
                raise Unavailable("registry", "too many uploads at once; try again") from error
            try:
                with Delivery() as delivery:
                    yield delivery
            finally:
                turns.release()

    def _open(self, delivery: Delivery, filename: str | None) -> Arrival:
        spool = delivery.enter_context(self._spools.open(PUBLIC))
        arrival = Arrival(spool, filenames.clean(filename or ""))
        delivery.files.append(arrival)
        return arrival

    async def _read_form(
        self,
        delivery: Delivery,
        body: AsyncIterator[bytes],
        headers: Mapping[str, str],
        *,
        one: bool,
    ) -> None:
        boundary = forms.boundary_of(headers.get("content-type", ""))
        most = 1 if one else self._settings.max_batch_files
        file, text, texts = None, bytearray(), [bytearray()]
        async for found in forms.read(body, boundary, max_parts=most + MAX_TEXT_PARTS):
            if isinstance(found, forms.Part):
                if file is not None:
                    await file.spool.finish()
                file = self._begin(delivery, found, most)
                text = bytearray()
                if file is None:
                    texts.append(text)
            elif file is None:
                text += found
                if sum(map(len, texts)) > MAX_TEXT_BYTES:
                    raise BodyLimit(name="text_bytes", allowed=MAX_TEXT_BYTES).refusal(
                        sum(map(len, texts))
                    )
            else:
                await self._take(file, found, one=one)
        if file is not None:
            await file.spool.finish()
        if not delivery.files:
            raise Rejected(
                400, "missing_file", "the form has no field `file` (or `image`) with a picture"
            )
        delivery.tags = tags.parse(forms.decode(bytes(text)) for text in texts)

    def _begin(self, delivery: Delivery, part: forms.Part, most: int) -> Arrival | None:
        """Return where the bytes of a new part go; None if it is a text."""
        if part.name == TAGS_FIELD:
            return None
        if part.name not in forms.FILE_FIELDS:
            raise Rejected(
                400,
                "unknown_field",
                f"there is no field {part.name[:100]!r}; there are: file (or image), tags",
            )
        if len(delivery.files) >= most:
            raise Rejected(
                400 if most == 1 else 413,
                "too_many_files",
                "send one picture at a time, or many to /registry/batch"
                if most == 1
                else "send fewer pictures at a time",
                limit=None if most == 1 else "MAX_BATCH_FILES",
                allowed=most,
                actual=most + 1,
            )
        return self._open(delivery, part.filename)

    async def _take(self, file: Arrival, data: bytes, *, one: bool) -> None:
        if file.refused is not None:
            return
        allowed = self._settings.max_upload_bytes
        if file.spool.size + len(data) > allowed:
            limit = BodyLimit(name="MAX_UPLOAD_BYTES", allowed=allowed)
            file.refused = limit.refusal(file.spool.size + len(data))
            if one:
                raise file.refused
            file.spool.close()
            return
        await file.spool.write(data)
