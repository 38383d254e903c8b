"""Times in events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

import msgspec

__all__ = ["Moment"]

#: A point in time with its offset from UTC, RFC 3339; a time without one means nothing.
Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
