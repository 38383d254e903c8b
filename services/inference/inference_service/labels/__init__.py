"""The task `labels`: words for the whole picture, derived from what the other tasks found.

Nothing is recognised here: every label follows by a rule from measurements and findings, and
names them as its evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagesystem.events import Label, Labels

from inference_service.labels.rules import RULES

__all__ = ["MODEL", "NEEDS", "VERSION", "derive_labels"]

MODEL, VERSION = "rules", "1"
#: The tasks whose answers labels rest on.
NEEDS = ("analysis", "objects", "faces", "text")
#: Labels less sure than this are not told.
LEAST_CONFIDENCE = 0.5


def derive_labels(found: Mapping[str, Any]) -> Labels:
    """Return the labels that follow from `found`: a task's result by its name, those there are."""
    labels: list[Label] = []
    for task, rule in RULES:
        if task in found:
            labels += rule(found[task])
    best: dict[str, Label] = {}
    for label in labels:
        if label.name not in best or label.confidence > best[label.name].confidence:
            best[label.name] = label
    return Labels(
        labels=sorted(
            (label for label in best.values() if label.confidence >= LEAST_CONFIDENCE),
            key=lambda label: -label.confidence,
        ),
        missing=[task for task in NEEDS if task not in found],
    )
