"""What is kept of an edit of many pictures."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from metadata_service.edits import Change

__all__ = ["Outcome", "Status", "Task"]

Status: TypeAlias = Literal["queued", "running", "done", "failed"]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """An edit of many pictures.

    `query`: what finds them, None where they were named; `total`: how many, None before they are
    found; `done`: how many have been dealt with, of which `failed` could not be edited.
    """

    task_id: str
    change: Change
    created_at: datetime
    updated_at: datetime
    query: dict[str, list[str]] | None = None
    status: Status = "queued"
    total: int | None = None
    done: int = 0
    failed: int = 0
    ended_at: datetime | None = None
    error: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will be done any more."""
        return self.ended_at is not None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one picture; `code` and `message` say why it could not be edited."""

    image_id: str
    result: Literal["edited", "failed"]
    code: str | None = None
    message: str | None = None
