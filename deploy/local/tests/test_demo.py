from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from local_stack import StackError, demo
from rich.console import Console

ANSWER = {
    "id": "3c1666dd-8b4e-87eb-b961-cfddeec03b7b",
    "filename": "rocket.jpg",
    "status": "ready",
    "media_type": "image/jpeg",
    "size_bytes": 112525,
    "width": 640,
    "height": 427,
    "kind": "photo",
    "inferred": {
        "analysis": {
            "model": "analysis",
            "result": {
                "colours": [{"name": "navy", "hex": "#000080", "share": 0.61}],
                "kind": {"name": "photo", "confidence": 0.93, "evidence": {}},
            },
        },
        "labels": {"result": {"labels": [{"name": "dark"}, {"name": "has code"}]}},
        "objects": {"result": {"objects": [{"label": "qr code", "decoded": "[hello]"}]}},
        "faces": {"result": {"faces": []}},
        "text": {"result": {"text": "[bold]SpaceX"}},
        "embedding": {"result": {"dimensions": 1, "vector": "AACAPw=="}},
    },
}


def shown(answer: object) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        found = msgspec.convert(answer, type=demo.Found)
        console.print(demo.render("http://127.0.0.1:8011", [found]))
    return capture.get()


def test_the_table_says_what_was_found_out() -> None:
    text = shown(ANSWER)
    for expected in (
        "rocket.jpg",
        ANSWER["id"],
        "640 x 427 pixels, 110 KiB, image/jpeg",
        "photo (93% sure)",
        "navy 61%",
        "dark, has code",
        "qr code [hello]",
        "[bold]SpaceX",
        f"http://127.0.0.1:8011/image/images/{ANSWER['id']}",
        f"http://127.0.0.1:8011/metadata/images/{ANSWER['id']}",
    ):
        assert str(expected) in text


def test_a_picture_without_analysis_says_why() -> None:
    failed = {"analysis": {"code": "corrupt", "message": "its pixels are corrupt", "attempts": 1}}
    text = shown(ANSWER | {"inferred": {}, "status": "failed", "failed": failed})
    assert "failed (analysis: its pixels are corrupt)" in text


def test_the_demo_photographs_are_there() -> None:
    assert len(demo.pictures()) >= 5


def test_missing_photographs_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no pictures in"):
        demo.pictures(tmp_path)
