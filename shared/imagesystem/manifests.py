"""Lists of images that a query found: what metadata writes to bucket `manifests` for a task."""

from __future__ import annotations

import msgspec

from imagesystem.events.moments import Moment

__all__ = ["Manifest", "Problem"]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no list: a stable `code`, and one line for people."""

    code: str
    message: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The images of a task, newest first; or the `problem` because of which there are none.

    The object is called as the task, and holds this as JSON.
    """

    task_id: str
    ids: list[str]
    resolved_at: Moment
    problem: Problem | None = None
