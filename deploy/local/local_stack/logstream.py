"""One log of many processes: a file for each, and one merged stream of what is worth reading.

Services write JSON lines already; what nats-server, mongod and Traefik write is brought to the
same fields (`service`, `timestamp`, `level`, `event`). The files keep every line as it came.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias

import msgspec
from rich.console import Console
from rich.text import Text

__all__ = ["ConsolePrinter", "JsonPrinter", "LogStream", "Printer", "Record", "normalise"]

Record: TypeAlias = dict[str, Any]
SUPERVISOR = "supervisor"
_FILE_BYTES = 16 * 1024 * 1024
_REMEMBERED_LINES = 20
_COLOURS = {
    "registry": "cyan",
    "image": "green",
    "inference": "magenta",
    "metadata": "blue",
    "augmentation": "yellow",
    SUPERVISOR: "bold white",
}
_NATS_LINE = re.compile(r"\[\d+\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d+) \[(\w+)\] (.*)")
_NATS_LEVELS = {"DBG": "debug", "INF": "info", "WRN": "warning", "ERR": "error", "FTL": "critical"}
_MONGODB_LEVELS = {"W": "warning", "E": "error", "F": "critical"}


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _plain(line: str) -> Record:
    return {"level": "info", "event": line, "timestamp": _now()}


def _fields(line: str) -> Record | None:
    try:
        fields = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    return fields if isinstance(fields, dict) else None


def _from_service(line: str) -> Record | None:
    return _fields(line) or _plain(line)


def _from_nats(line: str) -> Record | None:
    if (found := _NATS_LINE.match(line)) is None:
        return _plain(line)
    when, level, text = found.groups()
    if level == "INF" and text[:1] in " -|":
        return None  # its banner
    timestamp = when.replace("/", "-").replace(" ", "T") + "Z"
    return {"level": _NATS_LEVELS.get(level, "info"), "event": text, "timestamp": timestamp}


def _from_mongodb(line: str) -> Record | None:
    if (fields := _fields(line)) is None:
        return _plain(line)
    level = _MONGODB_LEVELS.get(fields.get("s", ""))
    if level is None or "startupWarnings" in (fields.get("tags") or ()):
        return None  # a hundred lines about every start; the file has them
    when = fields.get("t")
    timestamp = when.get("$date") if isinstance(when, dict) else _now()
    record = {"level": level, "event": fields.get("msg", ""), "timestamp": timestamp}
    return record | ({"attr": fields["attr"]} if "attr" in fields else {})


def _from_traefik(line: str) -> Record | None:
    if (fields := _fields(line)) is None:
        return _plain(line)
    level = fields.pop("level", "info")
    return {
        "level": "warning" if level == "warn" else level,
        "event": str(fields.pop("message", "")).strip(),
        "timestamp": fields.pop("time", _now()),
        **fields,
    }


_READERS: dict[str, Callable[[str], Record | None]] = {
    "nats": _from_nats,
    "mongodb": _from_mongodb,
    "traefik": _from_traefik,
}


def normalise(part: str, kind: str, line: bytes) -> Record | None:
    """Return the record in one `line` of `part`, None if the merged stream leaves it out."""
    if not line.strip():
        return None
    record = _READERS.get(kind, _from_service)(line.decode(errors="replace"))
    return None if record is None else {**record, "service": part}


class Printer(Protocol):
    """Where the merged stream goes."""

    def __call__(self, part: str, kind: str, line: bytes) -> None:
        """Show one line that `part` wrote."""


class JsonPrinter:
    """One JSON object a line."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __call__(self, part: str, kind: str, line: bytes) -> None:
        """Write one line; a service's own JSON goes through untouched."""
        if not (part == kind and kind not in _READERS and line.startswith(b"{")):
            if (record := normalise(part, kind, line)) is None:
                return
            line = msgspec.json.encode(record)
        self._file.write(line + b"\n")
        self._file.flush()


class ConsolePrinter:
    """Lines for a person, coloured by service."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, part: str, kind: str, line: bytes) -> None:
        """Write time, part, event and fields."""
        if (record := normalise(part, kind, line)) is None:
            return
        level = str(record.pop("level", "info"))
        style = {"warning": "yellow", "error": "red", "critical": "bold red"}.get(level, "")
        exception = record.pop("exception", "")
        text = Text.assemble(
            (str(record.pop("timestamp", _now()))[11:19], "dim"),
            (f" {part:<13}", _COLOURS.get(kind, "dim")),
            (str(record.pop("event", "")), style),
        )
        for name in ("service", "logger", "trace_id", "request_id", "color_message"):
            record.pop(name, None)
        for name, value in record.items():
            text.append(f" {name}=", "dim")
            text.append(str(value))
        if exception:
            text.append(f"\n{exception}", "red")
        self._console.print(text, soft_wrap=True, highlight=False)


class _LogFile:
    """A file that keeps at most twice `_FILE_BYTES`: itself and its predecessor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)

    def write(self, line: bytes) -> None:
        try:
            if self._file.tell() > _FILE_BYTES:
                self._file.close()
                self._path.replace(self._path.with_suffix(".log.1"))
                self._file = self._path.open("ab", buffering=0)
            self._file.write(line + b"\n")
        except OSError:
            return  # a full disk must not end the supervisor; the merged stream has the line

    def close(self) -> None:
        self._file.close()


class LogStream:
    """Takes the lines of all parts; `folder` gets `<part>.log`, `show` the merged stream."""

    def __init__(self, folder: Path, show: Printer | None = None) -> None:
        self.folder = folder
        self._show = show
        self._files: dict[str, _LogFile] = {}
        self._last: dict[str, deque[bytes]] = {}

    def path(self, part: str) -> Path:
        """Return the log file of `part`."""
        return self.folder / f"{part}.log"

    def line(self, part: str, kind: str, line: bytes) -> None:
        """Take one line (without its end) that `part`, a `kind` of part, wrote."""
        if part not in self._files:
            self._files[part] = _LogFile(self.path(part))
            self._last[part] = deque(maxlen=_REMEMBERED_LINES)
        self._files[part].write(line)
        self._last[part].append(line)
        if self._show is None:
            return
        try:
            self._show(part, kind, line)
        except OSError as error:
            self._show = None  # nobody reads any more (`up | head`); the files go on
            self.say("log_output_closed", level="warning", error=str(error))

    def say(self, event: str, *, level: str = "info", **fields: object) -> None:
        """Log something that the supervisor itself has to say."""
        record = {"level": level, "event": event, **fields}
        record |= {"timestamp": _now(), "service": SUPERVISOR}
        self.line(SUPERVISOR, SUPERVISOR, msgspec.json.encode(record, enc_hook=str))

    def last_words(self, part: str, kind: str) -> str:
        """Return the last thing `part` said, in one line; empty if it said nothing."""
        for line in reversed(self._last.get(part, ())):
            record = normalise(part, kind, line)
            if record is None:
                continue
            cause = str(record.get("exception", "")).strip().splitlines()
            words = cause[-1] if cause else str(record.get("error") or record.get("event", ""))
            if words.strip():
                return words.strip()
        return ""

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()
