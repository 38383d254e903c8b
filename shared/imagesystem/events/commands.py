"""Commands: requests, imperative, each handled once by one durable consumer."""

from __future__ import annotations

from datetime import datetime

import msgspec

__all__ = ["Infer"]


class Infer(msgspec.Struct, frozen=True, kw_only=True):
    """Run `task` on the image again."""

    image_id: str
    task: str
    requested_at: datetime

    @property
    def subject(self) -> str:
        """Where this command is published."""
        return f"commands.v1.infer.{self.task}.{self.image_id}"
