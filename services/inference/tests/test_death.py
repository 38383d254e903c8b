"""A picture that kills its worker in one task, in real worker processes."""

from __future__ import annotations

import hashlib
from typing import Any

from imagesystem import ids
from imagesystem.events import DeadLetter, Uploaded
from imagesystem.memory import MemoryPlatform
from imagesystem.testing import client
from inference_service.app import create_app
from inference_service.settings import Settings

from services.inference.tests.specimens import png

POISON = png("orchid")
SHA256 = hashlib.sha256(POISON).hexdigest()


async def test_only_the_task_that_kills_is_given_up() -> None:
    settings = Settings(
        workers=1, tasks="analysis,embedding,faces", poison_sha256=SHA256, poison_task="embedding"
    )
    platform = MemoryPlatform()
    async with client(create_app(settings, platform.connect)) as http:
        image_id = ids.image_id(POISON)
        await platform.bucket("originals").put(image_id, POISON)
        await platform.bus.publish(
            Uploaded(
                image_id=image_id,
                filename="a.png",
                media_type="image/png",
                size_bytes=len(POISON),
                width=40,
                height=30,
                frames=1,
                sha256=SHA256,
                uploaded_at=ids.now(),
            )
        )
        await platform.bus.settle()
        answer = await http.post("/inference/embedding", files={"file": ("a.png", POISON)})
        assert (answer.status_code, answer.json()["code"]) == (422, "unprocessable_picture")
        answer = await http.post("/inference/faces", files={"file": ("a.png", POISON)})
        assert answer.status_code == 200
    log: dict[str, Any] = {subject: said.event for subject, said in platform.bus.log.items()}
    facts = {subject.split(".", 3)[3] for subject in log if subject.startswith("images.")}
    assert facts == {
        "uploaded", "planned", "inferred.analysis", "inferred.faces", "failed.embedding"
    }  # fmt: skip
    assert log[f"images.v1.{image_id}.failed.embedding"].code == "worker_died"
    letters = [event for event in log.values() if isinstance(event, DeadLetter)]
    assert [letter.consumer for letter in letters] == ["inference-embedding"]
