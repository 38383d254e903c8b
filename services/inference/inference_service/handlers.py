"""What happens when something is heard: one function per event, and what is said at the end."""

from __future__ import annotations

from collections.abc import Sequence

from imagesystem.bus import Received
from imagesystem.errors import Permanent, Transient, Unavailable
from imagesystem.events import Event, Infer, Uploaded

from inference_service.recognition import Recognition
from inference_service.tasks import TASKS

__all__ = ["InferHandler", "UploadedHandler"]


class UploadedHandler:
    """Durable `inference-uploaded`: every planned task, on one decode of the original."""

    def __init__(self, recognition: Recognition, tasks: Sequence[str]) -> None:
        self._recognition = recognition
        self._tasks = tasks
        self._in_hand = 0

    async def handle(self, received: Received[Event]) -> None:
        """Plan, look, say what was found; work that is done already is not done again.

        What finds no answer here becomes a command of its own, whatever the reason: its durable
        tries again, or parks it, while the other answers are out.
        """
        self._in_hand += 1
        try:
            await self._handle(received)
        finally:
            self._in_hand -= 1

    async def _handle(self, received: Received[Event]) -> None:
        event, recognition = received.event, self._recognition
        assert isinstance(event, Uploaded)  # noqa: S101  the durable hears nothing else
        known = await recognition.known(event.image_id)
        if known.sequence(Uploaded) > received.sequence:
            return  # uploaded anew after a deletion: that message brings the work
        await recognition.plan(event.image_id, self._tasks, known)
        models = recognition.models
        missing = [task for task in self._tasks if not known.done(models[task])]
        done = [task for task in self._tasks if task not in missing]
        await recognition.resolve(event.image_id, done, known)
        now, left = await recognition.share_out(missing, self._in_hand)
        if now:
            reached = await recognition.infer(
                event.image_id, now, known, attempts=received.attempts
            )
            answered = {task for task, verdict in reached.items() if verdict.result is not None}
            left += [task for task in now if task not in answered]
        await recognition.hand_over(event.image_id, left)

    async def gave_up(self, received: Received[Event], error: Permanent, attempts: int) -> None:
        """Say `failed` for every planned task that has no answer."""
        event = received.event
        assert isinstance(event, Uploaded)  # noqa: S101
        known = await self._recognition.known(event.image_id)
        await self._recognition.plan(event.image_id, self._tasks, known)
        models = self._recognition.models
        missing = [task for task in self._tasks if not known.done(models[task])]
        await self._recognition.give_up(event.image_id, missing, error, attempts=attempts)


class InferHandler:
    """Durables `inference-<task>`: one task again, because somebody asked or it found no answer."""

    def __init__(self, recognition: Recognition) -> None:
        self._recognition = recognition

    async def handle(self, received: Received[Event]) -> None:
        """Run the task whatever is known already: that is what was asked.

        While its model fails again and again, the command is held and no attempt is burned.
        """
        command, recognition = received.event, self._recognition
        assert isinstance(command, Infer)  # noqa: S101  the durable hears nothing else
        if command.task not in TASKS:
            raise Permanent(f"there is no task {command.task!r}", code="unknown_task")
        known = await recognition.known(command.image_id)
        if not known.sequence(Uploaded):
            raise Permanent(f"there is no image {command.image_id}", code="unknown_image")
        if not recognition.allows(command.task):
            raise Unavailable(f"model of {command.task}", recognition.trouble(command.task) or "")
        reached = await recognition.infer(
            command.image_id, [command.task], known, attempts=received.attempts, patient=True
        )
        for verdict in reached.values():
            if verdict.result is None:
                error = Transient if verdict.transient else Permanent
                raise error(f"{verdict.task}: {verdict.message}", code=verdict.code)
        await recognition.follow_up(command.image_id, command.task)

    async def gave_up(self, received: Received[Event], error: Permanent, attempts: int) -> None:
        """Say `failed` for the task, unless nobody knows the image."""
        command = received.event
        assert isinstance(command, Infer)  # noqa: S101
        known = await self._recognition.known(command.image_id)
        if known.sequence(Uploaded) and command.task in TASKS:
            await self._recognition.give_up(
                command.image_id, [command.task], error, attempts=attempts
            )
            await self._recognition.follow_up(command.image_id, command.task)
