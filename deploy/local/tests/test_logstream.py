from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from local_stack import logstream
from local_stack.logstream import ConsolePrinter, JsonPrinter, LogStream, normalise
from rich.console import Console

NATS = b"[7] 2026/11/21 12:37:32.380664 [WRN] Plaintext passwords detected"
MONGODB = b'{"t":{"$date":"2026-11-21T12:00:00.1+00:00"},"s":"E","msg":"No space","attr":{"n":1}}'
TRAEFIK = b'{"level":"warn","time":"2026-11-21T12:36:50Z","message":"Health check failed."}'
SERVICE = b'{"service":"image","level":"info","event":"request","status":200}'


@pytest.mark.parametrize(
    ("kind", "line", "level", "event"),
    [
        ("nats", NATS, "warning", "Plaintext passwords detected"),
        ("mongodb", MONGODB, "error", "No space"),
        ("traefik", TRAEFIK, "warning", "Health check failed."),
        ("image", SERVICE, "info", "request"),
        (
            "image",
            b"Traceback (most recent call last):",
            "info",
            "Traceback (most recent call last):",
        ),
        ("image", b"[1, 2]", "info", "[1, 2]"),
        ("nats", b"no line of a log \xff", "info", "no line of a log \ufffd"),
        ("mongodb", b"plain", "info", "plain"),
        ("traefik", b"plain", "info", "plain"),
    ],
)
def test_every_line_gets_the_same_fields(kind: str, line: bytes, level: str, event: str) -> None:
    record = normalise(f"{kind}-2", kind, line)
    assert record is not None
    assert (record["service"], record["level"], record["event"]) == (f"{kind}-2", level, event)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("mongodb", b'{"s":"I","msg":"Connection accepted"}'),
        ("mongodb", b'{"s":"W","msg":"vm.max_map_count","tags":["startupWarnings"]}'),
        ("nats", b"[7] 2026/11/21 12:37:32.383341 [INF]     _ ___ _____ ___ _____ ___ ___"),
        ("image", b"  "),
    ],
)
def test_what_nobody_reads_stays_out_of_the_merged_stream(kind: str, line: bytes) -> None:
    assert normalise(kind, kind, line) is None


def test_the_stream_is_json_lines_and_the_files_have_everything(tmp_path: Path) -> None:
    out = io.BytesIO()
    stream = LogStream(tmp_path, JsonPrinter(out))
    stream.line("image", "image", SERVICE)
    stream.line("inference-2", "inference", SERVICE)
    stream.line("nats", "nats", NATS)
    stream.line("mongodb", "mongodb", b'{"s":"I","msg":"chatter"}')
    stream.say("part_ended", level="warning", part="nats", code=-9)
    stream.close()
    first, *others = out.getvalue().splitlines()
    assert first == SERVICE
    assert [json.loads(line)["service"] for line in others] == ["inference-2", "nats", "supervisor"]
    assert stream.path("mongodb").read_bytes() == b'{"s":"I","msg":"chatter"}\n'
    assert json.loads(stream.path("supervisor").read_bytes())["code"] == -9


def test_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logstream, "_FILE_BYTES", 1000)
    stream = LogStream(tmp_path)
    for _ in range(100):
        stream.line("image", "image", b"x" * 99)
    stream.close()
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= 1100


def test_last_words_are_the_cause(tmp_path: Path) -> None:
    stream = LogStream(tmp_path)
    assert stream.last_words("image", "image") == ""
    stream.line(
        "image", "image", b'{"event":"failed","exception":"Traceback\\n  x\\nOSError: gone"}'
    )
    stream.line("image", "image", b"")
    assert stream.last_words("image", "image") == "OSError: gone"
    stream.close()


def test_a_person_sees_part_event_and_fields(tmp_path: Path) -> None:
    out = io.StringIO()
    stream = LogStream(tmp_path, ConsolePrinter(Console(file=out, width=40)))
    stream.line("image", "image", b'{"event":"upload [bold]","size_bytes":12,"level":"info"}')
    stream.close()
    assert "image" in out.getvalue()
    assert "upload [bold] size_bytes=12" in out.getvalue()
