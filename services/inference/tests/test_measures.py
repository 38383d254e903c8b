"""What is counted of what was found."""

from __future__ import annotations

import pytest
from imagesystem.events import Box, FoundObject, Objects, Rectangle, Text, TextLine
from imagesystem.metrics import Metrics
from inference_service.measures import Measures


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_lines_of_text_are_counted_by_how_sure_the_model_is(metrics: Metrics) -> None:
    box = Box(x=0, y=0, width=1, height=1, relative=Rectangle(x=0, y=0, width=1, height=1))
    lines = [
        TextLine(text="word", confidence=confidence, polygon=[], box=box)
        for confidence in (0.95, 0.55, 0.58)
    ]
    result = Text(width=9, height=9, text="word", lines=lines, languages=["en"])
    Measures(metrics).found(result)
    sample = metrics.registry.get_sample_value
    assert sample("ocr_confidence_score_count") == 3
    assert sample("ocr_confidence_score_bucket", {"le": "0.6"}) == 2
    assert sample("ocr_confidence_score_sum") == pytest.approx(2.08)


def test_objects_are_counted_by_what_they_are(metrics: Metrics) -> None:
    box = Box(x=0, y=0, width=1, height=1, relative=Rectangle(x=0, y=0, width=1, height=1))
    found = [
        FoundObject(label=label, confidence=0.9, box=box, detector="test")
        for label in ("face", "qr_code", "face")
    ]
    Measures(metrics).found(Objects(width=9, height=9, objects=found))
    sample = metrics.registry.get_sample_value
    assert sample("objects_detected_total", {"label": "face"}) == 2
    assert sample("objects_detected_total", {"label": "qr_code"}) == 1


def test_what_counts_nothing_is_left_alone(metrics: Metrics) -> None:
    Measures(metrics).found(None)
    assert metrics.registry.get_sample_value("ocr_confidence_score_count") == 0
