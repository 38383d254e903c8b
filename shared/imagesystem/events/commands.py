"""Commands: requests, imperative, each handled once by one durable consumer."""

from __future__ import annotations

import msgspec

from imagesystem.events.moments import Moment

__all__ = ["Augment", "BulkEdit", "Infer", "Plan", "Replay", "Resolve"]


class Infer(msgspec.Struct, frozen=True, kw_only=True):
    """Run `task` on the image again."""

    image_id: str
    task: str
    requested_at: Moment

    @property
    def subject(self) -> str:
        """Where this command is published."""
        return f"commands.v1.infer.{self.task}.{self.image_id}"


class Resolve(msgspec.Struct, frozen=True, kw_only=True):
    """Find the images that a task asks for by a query, and have the task planned.

    `query` has the filters of `GET /metadata/images/list` as they are given there, each with its
    values. The answer is an object of the task's name in bucket `manifests`: the ids, newest first,
    or why there are none; with more than `limit` it is the latter.
    """

    task_id: str
    query: dict[str, list[str]]
    limit: int
    requested_at: Moment

    @property
    def subject(self) -> str:
        """Where this command is published."""
        return f"commands.v1.resolve.{self.task_id}"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Publish one `Augment` for every unit of the task, from where an earlier attempt ended."""

    task_id: str
    requested_at: Moment

    @property
    def subject(self) -> str:
        """Where this command is published."""
        return f"commands.v1.plan.{self.task_id}"


class Augment(msgspec.Struct, frozen=True, kw_only=True):
    """Make one unit of the task: `number` counts them from 0, the task says what each is."""

    task_id: str
    number: int
    requested_at: Moment

    @property
    def subject(self) -> str:
        """Where this command is published."""
        return f"commands.v1.augment.{self.task_id}.{self.number}"


class BulkEdit(msgspec.Struct, frozen=True, kw_only=True):
    """Edit what is left of the images of the task; what to change, and which, the task says."""

    task_id: str
    requested_at: Moment

    @property
    def subject(self) -> str:
        """Where this command is published."""
        return f"commands.v1.edit.{self.task_id}"


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Let `consumer`, which gave up on the message in a dead letter, try it again."""

    consumer: str
    letter_id: str
    requested_at: Moment

    @property
    def subject(self) -> str:
        """Where this command is published."""
        return f"commands.v1.replay.{self.consumer}.{self.letter_id}"
