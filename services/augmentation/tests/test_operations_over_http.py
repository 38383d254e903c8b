from __future__ import annotations

from typing import Any

import httpx
from augmentation_service.engine import REGISTRY, parse


async def test_operations_are_listed_from_the_engines_table(http: httpx.AsyncClient) -> None:
    answer = await http.get("/augmentation/operations")
    assert answer.status_code == 200
    body = answer.json()
    assert [operation["name"] for operation in body["operations"]] == [*REGISTRY]
    assert (body["engine"], body["max_steps"]) == ("1", 8)
    by_name = {operation["name"]: operation for operation in body["operations"]}
    assert by_name["rotate"]["labels"] == "moved"
    assert by_name["gaussian_blur"]["labels"] == "kept"
    schema = by_name["rotate"]["parameters"]
    assert schema["required"] == ["angle"]
    angle = schema["properties"]["angle"]
    assert (angle["type"], angle["minimum"], angle["maximum"], angle["unit"]) == (
        "number",
        -360,
        360,
        "degrees",
    )
    canvas = schema["properties"]["canvas"]
    assert (canvas["enum"], canvas["default"]) == (["keep", "expand"], "keep")
    assert all(option["description"] for option in canvas["oneOf"])


async def test_what_is_described_can_be_asked_for(http: httpx.AsyncClient) -> None:
    def least(schema: dict[str, Any]) -> Any:
        if "pattern" in schema:
            return schema.get("default", "#102030")
        return schema.get("default", schema.get("minimum", schema.get("enum", [None])[0]))

    for operation in (await http.get("/augmentation/operations")).json()["operations"]:
        properties = operation["parameters"]["properties"]
        parameters = {name: least(schema) for name, schema in properties.items()}
        parse([{"operation": operation["name"], "parameters": parameters}])
        required = {name: parameters[name] for name in operation["parameters"]["required"]}
        parse([{"operation": operation["name"], "parameters": required}])


async def test_an_unchanged_list_is_not_sent_again(http: httpx.AsyncClient) -> None:
    etag = (await http.get("/augmentation/operations")).headers["etag"]
    answer = await http.get("/augmentation/operations", headers={"if-none-match": etag})
    assert (answer.status_code, answer.content) == (304, b"")
    answer = await http.get("/augmentation/operations", headers={"if-none-match": '"old"'})
    assert answer.status_code == 200


async def test_the_api_is_described(http: httpx.AsyncClient) -> None:
    schema = (await http.get("/augmentation/schema/openapi.json")).json()
    preview = schema["paths"]["/augmentation/preview"]["post"]
    content = preview["requestBody"]["content"]
    fields = content["application/json"]["schema"]["properties"]
    assert set(fields) == {
        "image_id",
        "recipe",
        "seed",
        "variant",
        "format",
        "quality",
        "boxes",
        "keypoints",
        "polygons",
        "rotated_boxes",
        "rules",
        "others",
        "draw",
        "variants",
        "tile",
    }
    assert fields["seed"]["maximum"] == 2**53 - 1
    assert set(fields["boxes"]["items"]["properties"]) >= {"x_min", "y_min", "x_max", "y_max"}
    form = content["multipart/form-data"]["schema"]
    assert form["properties"]["file"]["format"] == "binary"
    assert form["required"] == ["file", "recipe"]
    assert {"200", "400", "404", "410", "413", "415", "422", "503"} <= set(preview["responses"])


async def test_the_service_is_ready(http: httpx.AsyncClient) -> None:
    assert (await http.get("/augmentation/health/ready")).status_code == 200
    assert (await http.get("/augmentation/health/live")).status_code == 200
    metrics = (await http.get("/augmentation/metrics")).text
    assert "augmentation_previews_total" in metrics
