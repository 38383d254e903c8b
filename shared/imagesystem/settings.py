"""Settings: one frozen struct per service, read from the environment once.

A field `max_upload_bytes` is the variable `MAX_UPLOAD_BYTES`; its bounds and its description
(with the unit) stand in `msgspec.Meta`. `MAX_UPLOAD_BYTES_FILE` names a file to read it from,
which is how containers are handed secrets. Every wrong value is reported, not only the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

__all__ = ["BadSettings", "ServiceSettings", "load"]

S = TypeVar("S", bound=msgspec.Struct)


class BadSettings(Exception):
    """One or more environment variables have values that cannot be used."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service may be told."""

    nats_url: Annotated[
        str,
        msgspec.Meta(
            description="NATS server with user and password: nats://user:pw@host:port; of a "
            "cluster several, comma-separated"
        ),
    ] = "nats://127.0.0.1:4222"
    nats_ca_file: Annotated[
        str,
        msgspec.Meta(description="certificates to trust NATS by; set, it is TLS or nothing"),
    ] = ""
    http_host: Annotated[str, msgspec.Meta(description="address to listen on")] = "127.0.0.1"
    http_port: Annotated[int, msgspec.Meta(ge=0, le=65535, description="port to listen on")] = 8000
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], msgspec.Meta(description="least level logged")
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"], msgspec.Meta(description="one JSON object a line, or colours")
    ] = "json"
    start_timeout_s: Annotated[
        float,
        msgspec.Meta(gt=0, description="seconds to wait for NATS and other dependencies at start"),
    ] = 60.0
    cors_origins: Annotated[
        str, msgspec.Meta(description="origins that browsers may call from, comma-separated")
    ] = ""
    otlp_endpoint: Annotated[
        str,
        msgspec.Meta(
            pattern="^(https?://.+)?$",
            description="where spans are sent by OTLP over HTTP, as http://collector:4318; "
            "empty: nowhere",
        ),
    ] = ""
    trace_ratio: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=1,
            description="the share of requests that are traced; a `traceparent` decides for itself",
        ),
    ] = 1.0
    brake_ratio: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=1,
            description="a consumer pauses itself when more than this share of its messages fail "
            "for good, by no fault of a client; 1: never",
        ),
    ] = 0.5
    brake_window_s: Annotated[
        float, msgspec.Meta(gt=0, description="seconds over which BRAKE_RATIO is looked at")
    ] = 300.0
    brake_least: Annotated[
        int, msgspec.Meta(ge=1, description="messages in the window before BRAKE_RATIO counts")
    ] = 50
    brake_pause_s: Annotated[
        float, msgspec.Meta(gt=0, description="seconds that such a pause lasts")
    ] = 300.0
    replicas: Annotated[
        Literal[1, 3, 5], msgspec.Meta(description="copies of every stream (3 needs a cluster)")
    ] = 1


def load(kind: type[S], environ: Mapping[str, str]) -> S:
    """Read `kind` from `environ`; empty values count as absent.

    Raises `BadSettings` naming every variable that is wrong and why.
    """
    values: dict[str, object] = {}
    problems: list[str] = []
    for field in msgspec.structs.fields(kind):
        variable = field.name.upper()
        try:
            text = _text_of(variable, environ)
        except OSError as error:
            problems.append(f"{variable}_FILE={environ[f'{variable}_FILE']!r}: {error.strerror}")
            continue
        if not text:
            if field.required:
                problems.append(f"{variable} is not set")
            continue
        try:
            values[field.name] = msgspec.convert(text, type=field.type, strict=False)
        except msgspec.ValidationError as error:
            problems.append(f"{variable}={text!r}: {error}")
    if problems:
        raise BadSettings(problems)
    return kind(**values)


def _text_of(variable: str, environ: Mapping[str, str]) -> str:
    """Return the value of a variable, or the content of the file that `<variable>_FILE` names."""
    file = environ.get(f"{variable}_FILE", "")
    return Path(file).read_text().strip() if file else environ.get(variable, "")
