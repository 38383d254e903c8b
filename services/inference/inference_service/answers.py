"""What a task's answer looks like over HTTP, and how much of it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from imagesystem.errors import Rejected
from imagesystem.events import Analysis, Embedding, Faces, Labels, Objects, Text

from inference_service.looking import Verdict
from inference_service.models import Result

__all__ = [
    "ANSWERS",
    "Answer",
    "AnyAnswer",
    "EmbeddingAnswer",
    "answer_of",
    "require_choice",
    "wanted",
]


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="task"):
    """What a task found in a picture; as in its `inferred` fact."""

    model: str
    model_version: str
    duration_ms: float


class AnalysisAnswer(Answer, frozen=True, kw_only=True, tag="analysis"):
    """What was measured in the picture."""

    result: Analysis


class EmbeddingAnswer(Answer, frozen=True, kw_only=True, tag="embedding"):
    """The picture as a vector."""

    result: Embedding


class ObjectsAnswer(Answer, frozen=True, kw_only=True, tag="objects"):
    """The things in the picture."""

    result: Objects


class FacesAnswer(Answer, frozen=True, kw_only=True, tag="faces"):
    """The faces in the picture."""

    result: Faces


class TextAnswer(Answer, frozen=True, kw_only=True, tag="text"):
    """What is written in the picture."""

    result: Text


class LabelsAnswer(Answer, frozen=True, kw_only=True, tag="labels"):
    """Words for the whole picture."""

    result: Labels


AnyAnswer: TypeAlias = (
    AnalysisAnswer | EmbeddingAnswer | ObjectsAnswer | FacesAnswer | TextAnswer | LabelsAnswer
)
#: The answer of each task.
ANSWERS: dict[str, Callable[..., AnyAnswer]] = {
    "analysis": AnalysisAnswer,
    "embedding": EmbeddingAnswer,
    "objects": ObjectsAnswer,
    "faces": FacesAnswer,
    "text": TextAnswer,
    "labels": LabelsAnswer,
}
#: Where the findings are in results that have any, each with a `confidence`.
FINDINGS = {"objects": "objects", "faces": "faces", "text": "lines", "labels": "labels"}


def answer_of(verdict: Verdict, result: Result) -> AnyAnswer:
    """Return the answer that a verdict comes to."""
    return ANSWERS[verdict.task](
        model=verdict.model,
        model_version=verdict.version,
        duration_ms=verdict.duration_ms,
        result=result,
    )


def require_choice(task: str, min_confidence: float | None, max_results: int | None) -> None:
    """Raise `Rejected` 400 `parameter_not_applicable` where there is nothing to choose from."""
    if task not in FINDINGS and (min_confidence is not None or max_results is not None):
        raise Rejected(
            400,
            "parameter_not_applicable",
            f"min_confidence and max_results choose among findings, and {task} has none",
        )


def wanted(
    result: Result, task: str, min_confidence: float | None, max_results: int | None
) -> Result:
    """Return a result with its surest findings alone, in the order they had."""
    if min_confidence is None and max_results is None:
        return result
    field = FINDINGS[task]
    findings: list[Any] = getattr(result, field)
    surest = sorted(
        (
            number
            for number, found in enumerate(findings)
            if found.confidence >= (min_confidence or 0.0)
        ),
        key=lambda number: -findings[number].confidence,
    )
    kept = [findings[number] for number in sorted(surest[:max_results])]
    changes: dict[str, Any] = {field: kept}
    if isinstance(result, Text) and len(kept) < len(findings):
        changes["text"] = "\n".join(line.text for line in kept)
    changed: Result = msgspec.structs.replace(result, **changes)
    return changed
