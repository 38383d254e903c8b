"""What ends a run before it begins."""

from __future__ import annotations

__all__ = ["BadRun"]


class BadRun(Exception):
    """What was asked for cannot be done; the message is for the person at the terminal."""
