"""Small states under keys: the port, and its implementations."""

from imagesystem.keyvalue.port import Entry, KeyValue

__all__ = ["Entry", "KeyValue"]
