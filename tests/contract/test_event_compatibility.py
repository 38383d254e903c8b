"""The contract only grows: what was once said can be read, what is said can be read by all.

`events/golden` holds messages as they were said, one or more per subject: they are never changed,
only added to. `events/frozen` holds the schema of every event as it was last accepted
(`just accept-events`).
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from imagesystem import asyncapi
from imagesystem.bus.messages import headers_for
from imagesystem.events import Fact, decode, encode, event_type

from tests.contract.compatibility import breaks

pytestmark = pytest.mark.contract

HERE = Path(__file__).parent / "events"
GOLDEN = sorted((HERE / "golden").glob("*.json"))
ENTRIES = {entry.type: entry for entry in asyncapi.entries()}


def message(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_what_was_once_said_is_still_understood(path: Path) -> None:
    golden = message(path)
    event = decode(golden["subject"], json.dumps(golden["body"]).encode())
    assert event.subject == golden["subject"]
    assert event_type(golden["subject"]) == golden["headers"]["ce-type"]
    assert isinstance(event, ENTRIES[golden["headers"]["ce-type"]].kind)
    said = json.loads(encode(event))
    # What was said is said again, to the letter; fields that are newer have their defaults.
    assert within(golden["body"], said) == []


def within(old: Any, new: Any, where: str = "body") -> list[str]:
    """Return where `new` lacks or changes what `old` has."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = [f"{where}.{name} is gone" for name in old if name not in new]
        return lines + [
            line
            for name in old
            if name in new
            for line in within(old[name], new[name], f"{where}.{name}")
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            line
            for number, (was, is_) in enumerate(zip(old, new, strict=True))
            for line in within(was, is_, f"{where}[{number}]")
        ]
    return [] if old == new else [f"{where} was {old!r}, is {new!r}"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_schema_admits_what_is_said(path: Path) -> None:
    golden = message(path)
    schema = asyncapi.schema(ENTRIES[golden["headers"]["ce-type"]])
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    validator.validate(golden["body"])
    required = schema["required"][-1]
    without = {name: value for name, value in golden["body"].items() if name != required}
    assert not validator.is_valid(without)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_reader_ignores_fields_it_does_not_know(path: Path) -> None:
    golden = message(path)
    body = json.dumps(golden["body"] | {"field_of_the_future": {"deep": [1, 2]}}).encode()
    known = decode(golden["subject"], json.dumps(golden["body"]).encode())
    assert decode(golden["subject"], body) == known


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_headers_are_those_that_are_sent(path: Path) -> None:
    golden = message(path)
    sent = headers_for(golden["subject"], "x", "registry")
    assert set(golden["headers"]) <= set(sent)
    assert sent["ce-type"] == golden["headers"]["ce-type"]
    assert sent["ce-subject"] == golden["headers"]["ce-subject"]


@pytest.mark.parametrize("type_", ENTRIES)
def test_every_event_has_golden_messages(type_: str) -> None:
    names = [path.stem for path in GOLDEN if path.stem.startswith(f"{type_}.")]
    bodies = [message(HERE / "golden" / f"{name}.json")["body"] for name in names]
    fields = {name for body in bodies for name in body}
    declared = {field.encode_name for field in msgspec.structs.fields(ENTRIES[type_].kind)}
    # A field that no golden message has could change its meaning unseen: add a message.
    assert declared <= fields, f"no golden message has {declared - fields}"
    required = set(asyncapi.schema(ENTRIES[type_])["required"])
    assert any(set(body) == required for body in bodies), "one with nothing but what is required"


@pytest.mark.parametrize("type_", ENTRIES)
def test_no_schema_breaks_its_readers(type_: str) -> None:
    frozen = json.loads((HERE / "frozen" / f"{type_}.json").read_text())
    current = asyncapi.schema(ENTRIES[type_])
    assert breaks(frozen, current) == []
    assert frozen == current, "fields were added: run `just accept-events` and add a golden message"


def test_no_event_vanishes() -> None:
    frozen = {path.stem for path in (HERE / "frozen").glob("*.json")}
    assert frozen == set(ENTRIES)


UPLOADED = asyncapi.schema(ENTRIES["images.v1.uploaded"])


def changed(**properties: Any) -> dict[str, Any]:
    schema = copy.deepcopy(UPLOADED)
    for name, value in properties.items():
        schema["properties"].pop(name, None)
        if value is not None:
            schema["properties"][name] = value
    return schema


@pytest.mark.parametrize(
    ("schema", "lines"),
    [
        (changed(filename=None), ["Uploaded: filename is gone"]),
        (
            changed(filename=None, file_name={"type": "string"}),
            ["Uploaded: filename is gone"],
        ),
        (
            changed(width={"type": "string"}),
            ["Uploaded: width was {'type': 'integer'}, is {'type': 'string'}"],
        ),
        (
            changed() | {"required": [*UPLOADED["required"], "owner"]},
            ["Uploaded: owner became required"],
        ),
        (
            changed() | {"required": UPLOADED["required"][1:]},
            ["Uploaded: image_id may now be missing"],
        ),
        ({**changed(), "$defs": {"Exif": UPLOADED["$defs"]["Exif"]}}, ["Gps is gone"]),
        (changed(colour={"type": "string", "default": ""}), []),
        (changed() | {"description": "said better"}, []),
    ],
    ids=["removed", "renamed", "retyped", "required", "optional", "part", "added", "described"],
)
def test_a_break_is_recognised(schema: dict[str, Any], lines: list[str]) -> None:
    assert breaks(UPLOADED, schema) == lines


def test_facts_carry_their_image_and_commands_are_typed_by_subject() -> None:
    for entry in asyncapi.entries():
        if issubclass(entry.kind, Fact):
            assert entry.subject.startswith("images.v1.{image_id}.")
        assert entry.said_by, f"nobody may say {entry.subject}"


def test_the_contract_names_every_header() -> None:
    assert set(headers_for("images.v1.x.uploaded", "x", "registry")) <= set(asyncapi.HEADERS)
