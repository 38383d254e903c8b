"""Dead letters for people: list, show, replay, discard. From the stream, not from MongoDB."""

from metadata_service.dead_letters.desk import Desk

__all__ = ["Desk"]
