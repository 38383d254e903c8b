"""Dead letters of all services: the port to read and discard them, and how to ask for replays."""

from imagesystem.dead_letters.port import Letters, Page, Summary, Wanted, summary_of
from imagesystem.dead_letters.requests import Requested, request_replay, request_replays

__all__ = [
    "Letters",
    "Page",
    "Requested",
    "Summary",
    "Wanted",
    "request_replay",
    "request_replays",
    "summary_of",
]
