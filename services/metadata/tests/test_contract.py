from __future__ import annotations

import jsonschema
import msgspec
from imagesystem.events import encode

from services.metadata.tests.conftest import Stage
from services.metadata.tests.samples import IMAGE, inferred, uploaded


async def test_the_document_lists_every_kind_of_event(stage: Stage) -> None:
    answer = await stage.http.get("/metadata/events/asyncapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert document["asyncapi"] == "3.0.0"
    channel = document["channels"]["images.v1.inferred.analysis"]
    assert channel["address"] == "images.v1.{image_id}.inferred.analysis"
    assert channel["x-subscribe-to"] == "images.v1.*.inferred.analysis"
    assert channel["x-said-by"] == ["inference"]


async def test_every_reference_of_the_document_leads_somewhere(stage: Stage) -> None:
    document = (await stage.http.get("/metadata/events/asyncapi.json")).json()

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [each for part in node.values() for each in references(part)]
        if isinstance(node, list):
            return [each for part in node for each in references(part)]
        return []

    found = references(document)
    assert len(found) > 50
    for reference in found:
        part = document
        for token in reference.removeprefix("#/").split("/"):
            part = part[token]


async def test_a_schema_admits_what_is_said_and_nothing_else(stage: Stage) -> None:
    for event in (uploaded(), inferred()):
        kind = "uploaded" if event == uploaded() else "inferred.analysis"
        answer = await stage.http.get(f"/metadata/events/schemas/images.v1.{kind}")
        assert answer.headers["content-type"].startswith("application/schema+json")
        validator = jsonschema.Draft202012Validator(answer.json())
        body = msgspec.json.decode(encode(event))
        validator.validate(body)
        assert not validator.is_valid(body | {"image_id": 7})
        assert body["image_id"] == IMAGE


async def test_what_has_not_changed_is_not_sent_again(stage: Stage) -> None:
    first = await stage.http.get("/metadata/events/asyncapi.json")
    again = await stage.http.get(
        "/metadata/events/asyncapi.json", headers={"if-none-match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_an_unknown_type_is_told_which_there_are(stage: Stage) -> None:
    answer = await stage.http.get("/metadata/events/schemas/images.v1.nothing")
    assert answer.status_code == 404
    problem = answer.json()
    assert problem["code"] == "unknown_event_type"
    assert "images.v1.uploaded" in problem["allowed"]
