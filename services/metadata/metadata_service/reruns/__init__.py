"""Asking for inference again where an answer is absent or outdated, and nowhere else."""

from metadata_service.reruns.search import Counts, Wanted, rerun

__all__ = ["Counts", "Wanted", "rerun"]
