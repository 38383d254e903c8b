"""Tasks with labels, from what a client sends to the data set that comes back."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from services.augmentation.tests.test_tasks_over_http import finished, results

Upload = Callable[[bytes], Awaitable[str]]
Photo = Callable[..., bytes]

#: 60 x 40 pixels, mirrored: x becomes 60 - x.
FLIP: list[dict[str, Any]] = [{"operation": "flip", "parameters": {"axis": "y"}}]
BOX = {"x_min": 10, "y_min": 5, "x_max": 30, "y_max": 25, "label": "cat"}


@pytest.fixture(scope="session")
async def image(upload: Upload, photo: Photo) -> str:
    return await upload(photo(size=(60, 40)))


async def ordered(http: httpx.AsyncClient, image: str, labels: Any, **more: Any) -> dict[str, Any]:
    order = {"ids": [image], "recipe": FLIP, "labels": labels, **more}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    assert report["status"] == "done", report
    return report


async def unzipped(http: httpx.AsyncClient, url: str) -> dict[str, bytes]:
    answer = await http.get(url)
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


async def test_labels_come_back_with_the_results(http: httpx.AsyncClient, image: str) -> None:
    given = {
        "boxes": [BOX],
        "keypoints": [{"x": 12, "y": 7, "label": "nose"}],
        "polygons": [{"points": [[0, 0], [20, 0], [20, 20]], "label": "mat"}],
    }
    report = await ordered(http, image, {"format": "plain", "images": {image: given}})
    (item,) = await results(http, report["id"])
    (box,) = item["labels"]["boxes"]
    assert (box["x_min"], box["x_max"], box["label"]) == (30, 50, "cat")
    assert item["labels"]["keypoints"][0]["x"] == 48
    assert item["labels"]["polygons"][0]["points"][0] == [60, 0]


async def test_coco_in_coco_out(http: httpx.AsyncClient, image: str) -> None:
    document = {
        "images": [{"id": 7, "file_name": f"some/where/{image}.jpg", "width": 60, "height": 40}],
        "categories": [
            {"id": 3, "name": "dog"},
            {"id": 18, "name": "cat", "supercategory": "animal", "keypoints": ["nose", "tail"]},
        ],
        "annotations": [
            {
                "image_id": 7,
                "category_id": 18,
                "bbox": [10, 5, 20, 20],
                "segmentation": [[10, 5, 30, 5, 30, 25]],
                "keypoints": [12, 7, 2, 0, 0, 0],
            }
        ],
    }
    report = await ordered(http, image, {"format": "coco", "document": document}, variants=2)
    files = await unzipped(http, report["links"]["coco"])
    made = json.loads(files["annotations.json"])
    assert [(c["id"], c["name"]) for c in made["categories"]] == [(3, "dog"), (18, "cat")]
    assert {picture["file_name"] for picture in made["images"]} == {
        f"images/{image}-{variant}.png" for variant in (0, 1)
    }
    assert set(files) > {picture["file_name"] for picture in made["images"]}
    assert len(made["annotations"]) == 2
    one = made["annotations"][0]
    assert (one["category_id"], one["bbox"]) == (18, [30, 5, 20, 20])
    assert one["segmentation"] == [[50, 5, 30, 5, 30, 25]]
    assert (one["area"], one["iscrowd"]) == (200, 0)
    assert one["keypoints"] == [48, 7, 2, 0, 0, 0]
    assert one["num_keypoints"] == 1


async def test_yolo_in_yolo_out(http: httpx.AsyncClient, image: str) -> None:
    labels = {"format": "yolo", "names": ["dog", "cat"], "images": {image: "1 0.25 0.5 0.5 1\n"}}
    report = await ordered(http, image, labels)
    files = await unzipped(http, report["links"]["yolo"])
    assert files[f"labels/{image}-0.txt"] == b"1 0.750000 0.500000 0.500000 1.000000\n"
    assert b'names:\n  0: "dog"\n  1: "cat"' in files["data.yaml"]
    assert f"images/{image}-0.png" in files


async def test_voc_in_voc_out(http: httpx.AsyncClient, image: str) -> None:
    text = (
        "<annotation><object><name>cat</name><difficult>1</difficult><bndbox><xmin>10</xmin>"
        "<ymin>5</ymin><xmax>30</xmax><ymax>25</ymax></bndbox></object></annotation>"
    )
    report = await ordered(http, image, {"format": "voc", "images": {image: text}})
    files = await unzipped(http, report["links"]["voc"])
    root = ET.fromstring(files[f"Annotations/{image}-0.xml"])
    assert root.findtext("object/name") == "cat"
    assert root.findtext("object/difficult") == "1"
    box = root.find("object/bndbox")
    assert box is not None
    assert [side.text for side in box] == ["30", "5", "50", "25"]
    assert root.findtext("filename") == f"{image}-0.png"
    assert f"JPEGImages/{image}-0.png" in files


async def test_a_webdataset_has_a_sample_per_variant(http: httpx.AsyncClient, image: str) -> None:
    labels = {"format": "plain", "images": {image: {"boxes": [BOX]}}}
    report = await ordered(http, image, labels, variants=3, format="webp")
    answer = await http.get(report["links"]["webdataset"])
    assert answer.headers["content-type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        names = tar.getnames()
        task = json.load(tar.extractfile("__manifest__/task.json"))  # type: ignore[arg-type]
        known = json.load(tar.extractfile(f"{image}-2.json"))  # type: ignore[arg-type]
        picture = tar.extractfile(f"{image}-2.webp").read()  # type: ignore[union-attr]
    samples = [f"{image}-{v}.{kind}" for v in range(3) for kind in ("webp", "json")]
    assert sorted(names) == sorted(["__manifest__/task.json", *samples])
    assert (task["seed"], task["classes"]) == (0, ["cat"])
    assert known["annotations"][0]["box"] == [30, 5, 50, 25]
    assert len(picture) == known["size_bytes"]


async def test_files_with_their_labels_by_name(http: httpx.AsyncClient, photo: Photo) -> None:
    labels = {"format": "yolo", "images": {"a cat.png": "0 0.25 0.5 0.5 1"}}
    answer = await http.post(
        "/augmentation/tasks",
        files=[
            ("file", ("a cat.png", photo(size=(60, 40)))),
            ("file", ("dir/other.jpg", photo("JPEG", size=(30, 20)))),
        ],
        data={"recipe": json.dumps(FLIP), "variants": "2", "labels": json.dumps(labels)},
    )
    report = await finished(http, answer)
    assert (report["status"], report["total"], report["done"]) == ("done", 4, 4)
    files = await unzipped(http, report["links"]["yolo"])
    pictures = {name for name in files if name.startswith("images/")}
    assert pictures == {
        f"images/{stem}-{variant}.png" for stem in ("0-a_cat", "1-other") for variant in (0, 1)
    }
    assert files["labels/0-a_cat-1.txt"].startswith(b"0 0.75")
    assert files["labels/1-other-0.txt"] == b""


async def test_nothing_is_kept_of_files_whose_order_is_refused(
    http: httpx.AsyncClient, platform: Any, photo: Photo
) -> None:
    before = [info async for info in platform.bucket("variants").watch(follow=False)]
    answer = await http.post(
        "/augmentation/tasks",
        files=[("file", ("a.png", photo()))],
        data={"recipe": json.dumps(FLIP), "variants": "0"},
    )
    assert answer.status_code == 400, answer.text
    after = [info async for info in platform.bucket("variants").watch(follow=False)]
    assert len(after) == len(before)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"format": "yolo", "images": {"IMAGE": "0 0.5 0.5 2.5 1"}}, "line 1"),
        ({"format": "yolo", "names": ["a"], "images": {"IMAGE": "1 0.5 0.5 0.5 1"}}, "class"),
        ({"format": "voc", "images": {"IMAGE": "<annotation>"}}, "XML"),
        ({"format": "voc", "images": {"IMAGE": "<!DOCTYPE x><annotation/>"}}, "document type"),
        ({"format": "coco", "document": {"images": [{"id": 1}]}}, "file_name"),
        ({"format": "coco", "document": []}, "COCO"),
        ({"format": "plain", "images": {"nobody.png": {}}}, "nobody.png"),
        ({"format": "boxes", "images": {}}, "boxes"),
        ({"format": "plain", "images": {"IMAGE": {"boxes": [{"x_min": "?"}]}}}, "x_min"),
    ],
)
async def test_labels_that_are_none_are_refused(
    http: httpx.AsyncClient, image: str, labels: Any, said: str
) -> None:
    text = json.dumps(labels).replace("IMAGE", image)
    order = {"ids": [image], "recipe": FLIP, "labels": json.loads(text)}
    answer = await http.post("/augmentation/tasks", json=order)
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["detail"]


async def test_rules_say_which_labels_are_kept(http: httpx.AsyncClient, image: str) -> None:
    crop = [{"operation": "crop", "parameters": {"x": 80, "y": 0, "width": 30, "height": 40}}]
    labels = {"format": "plain", "images": {image: {"boxes": [BOX]}}}
    for least, kept in ((0.2, 1), (0.4, 0)):
        report = await ordered(http, image, labels, recipe=crop, rules={"min_visibility": least})
        (item,) = await results(http, report["id"])
        assert len(item["labels"]["boxes"]) == kept


async def test_many_labels_are_an_object_and_come_out_all_the_same(
    http: httpx.AsyncClient, image: str
) -> None:
    boxes = [{**BOX, "x_min": n % 20} for n in range(2000)]
    report = await ordered(http, image, {"format": "plain", "images": {image: {"boxes": boxes}}})
    (item,) = await results(http, report["id"])
    assert "labels" not in item
    assert item["labels_object"]
    files = await unzipped(http, report["links"]["coco"])
    assert len(json.loads(files["annotations.json"])["annotations"]) == 2000


async def test_pictures_of_a_task_are_mixed_with_their_labels(
    http: httpx.AsyncClient, upload: Upload, photo: Photo
) -> None:
    mixing: list[dict[str, Any]] = [{"operation": "mosaic"}]
    images = [await upload(photo(size=(60, 40 + n))) for n in range(1, 5)]
    labels = {"format": "plain", "images": {name: {"boxes": [BOX]} for name in images}}
    order = {"ids": images, "recipe": mixing, "labels": labels, "variants": 2}
    report = await finished(http, await http.post("/augmentation/tasks", json=order))
    assert (report["status"], report["done"]) == ("done", 8), report
    found = {
        box["picture"]
        for item in await results(http, report["id"])
        for box in item["labels"]["boxes"]
    }
    assert len(found) > 1, "of other pictures too"
    files = await unzipped(http, report["links"]["coco"])
    assert len(json.loads(files["annotations.json"])["annotations"]) > 8
    alone = {"ids": images[:1], "recipe": mixing}
    answer = await http.post("/augmentation/tasks", json=alone)
    assert (answer.status_code, answer.json()["code"]) == (400, "too_few_pictures")
