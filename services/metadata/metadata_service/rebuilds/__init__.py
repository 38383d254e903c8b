"""Rebuilding the read model from the log while it serves, and the proof that it is the same."""

from metadata_service.rebuilds.records import (
    ENDED,
    Difference,
    Editions,
    Fingerprint,
    Phase,
    Reason,
    Rebuild,
)

__all__ = ["ENDED", "Difference", "Editions", "Fingerprint", "Phase", "Reason", "Rebuild"]
