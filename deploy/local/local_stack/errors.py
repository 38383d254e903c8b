"""What can go wrong with the stack itself, in one line that says what to do."""

from __future__ import annotations

__all__ = ["StackError"]


class StackError(Exception):
    """The stack cannot start or go on; the message is one line and names the way out."""
