"""The live feed: every fact as it is said, to browsers, and from where they left off."""

from metadata_service.feeds.hub import Feed, Hub

__all__ = ["Feed", "Hub"]
