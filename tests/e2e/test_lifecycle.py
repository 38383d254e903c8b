"""One picture through the whole system, through its one port."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import httpx
import nats
import pytest
from imagesystem import ids
from imagesystem.errors import ImageDeleted
from imagesystem.events import Planned, decode
from nats.aio.msg import Msg
from PIL import Image

from tests.pictures import corrupt_pixels, picture, sample
from tests.system import System

pytestmark = pytest.mark.e2e


@pytest.fixture
async def tail(system: System) -> AsyncIterator[list[Msg]]:
    """Collect everything the read-only subscriber hears."""
    client = await nats.connect(system.subscriber_url)
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    await client.subscribe("images.v1.>", cb=hear)
    await client.flush()
    yield heard
    await client.close()


async def test_upload_to_delete_and_back_again(
    system: System, http: httpx.AsyncClient, tail: list[Msg]
) -> None:
    photo = sample("astronaut.png")
    image_id = ids.image_id(photo)

    # upload: 201, then 200 with what exists
    answer = await http.post(
        "/registry/upload", files={"file": ("Eileen Collins.png", photo)}, data={"tags": "nasa"}
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()["id"] == image_id
    assert answer.headers["location"] == f"/metadata/images/{image_id}"
    again = await http.post("/registry/upload", files={"image": ("other.png", photo)})
    assert again.status_code == 200
    assert again.json()["duplicate"] is True
    assert again.json()["filename"] == "Eileen Collins.png"

    # metadata: ready, listed, with its analysis
    document = await system.ready(http, image_id)
    assert document["status"] == "ready"
    assert document["filename"] == "Eileen Collins.png"
    assert document["tags"] == ["nasa"]
    analysis = document["inferred"]["analysis"]["result"]
    assert (analysis["width"], analysis["height"]) == (512, 512)
    assert analysis["kind"]["name"] == "photo"
    assert len(analysis["phash"]) == 16
    listed = (await http.get("/metadata/images/list?limit=1000")).json()["items"]
    assert [item["id"] for item in listed].count(image_id) == 1

    # facts, in order, each of its own type
    own = [message for message in tail if message.subject.split(".")[2] == image_id]
    kinds = [message.subject.split(".", 3)[3] for message in own]
    assert kinds == ["uploaded", "planned", "inferred.analysis"]
    for message in own:
        assert decode(message.subject, message.data).image_id == image_id  # type: ignore[union-attr]
        headers = message.headers or {}
        assert headers["ce-specversion"] == "1.0"
        assert headers["ce-subject"] == image_id
    traces = {(message.headers or {})["traceparent"].split("-")[1] for message in own}
    assert len(traces) == 1, "one trace from the request to the last fact"

    # the original, byte for byte; a rendition; a preview
    original = await http.get(f"/image/images/{image_id}")
    assert original.content == photo
    assert original.headers["content-type"] == "image/png"
    unchanged = await http.get(
        f"/image/images/{image_id}", headers={"if-none-match": original.headers["etag"]}
    )
    assert unchanged.status_code == 304
    part = await http.get(f"/image/images/{image_id}", headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, photo[100:200])
    rendition = await http.get(f"/image/images/{image_id}?width=100&format=webp")
    assert rendition.status_code == 200, rendition.text
    with Image.open(io.BytesIO(rendition.content)) as small:
        assert (small.format, small.size) == ("WEBP", (100, 100))
    preview = await http.post(
        "/augmentation/preview",
        json={
            "image_id": image_id,
            "recipe": [{"operation": "rotate", "parameters": {"angle": 90}}],
            "seed": 7,
        },
    )
    assert preview.status_code == 200, preview.text
    with Image.open(io.BytesIO(preview.content)) as turned:
        assert turned.size == (512, 512)

    # what people say about it
    patched = await http.patch(
        f"/metadata/images/{image_id}", json={"tags": ["space"], "caption": "An astronaut"}
    )
    assert patched.status_code == 200, patched.text
    assert patched.json()["caption"] == "An astronaut"

    # delete: gone everywhere
    assert (await http.delete(f"/registry/images/{image_id}")).status_code == 202
    await system.until_gone(http, image_id)
    facts = await system.facts(image_id)
    assert [fact.subject.split(".", 3)[3] for fact in facts] == ["deleted"]
    for bucket in ("originals", "renditions"):
        assert await system.objects_of(bucket, image_id) == []
    late = Planned(image_id=image_id, tasks=["analysis"], planned_at=ids.now())
    with pytest.raises(ImageDeleted):
        await (await system.bus("inference")).publish(late)

    # the same bytes again: alive again
    answer = await http.post("/registry/upload", files={"file": ("back.png", photo)})
    assert answer.status_code == 201, answer.text
    document = await system.ready(http, image_id)
    assert document["filename"] == "back.png"
    assert document["caption"] is None
    assert (await http.get(f"/image/images/{image_id}")).content == photo


async def test_all_seven_formats_are_taken_and_analysed(
    system: System, http: httpx.AsyncClient
) -> None:
    forms = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
    pictures = {form: picture(900, form) for form in forms}
    for form, data in pictures.items():
        answer = await http.put(f"/registry/upload?filename=x.{form.lower()}", content=data)
        assert answer.status_code == 201, (form, answer.text)
    for form, data in pictures.items():
        document = await system.ready(http, ids.image_id(data))
        assert document["inferred"]["analysis"]["result"]["width"] == 160, form
        served = await http.get(f"/image/images/{ids.image_id(data)}")
        assert served.content == data
        assert served.headers["content-type"] == f"image/{form.lower()}"


async def test_corrupt_pixels_are_a_failed_fact_and_a_422_never_a_500(
    system: System, http: httpx.AsyncClient
) -> None:
    data = corrupt_pixels()
    answer = await http.post("/registry/upload", files={"file": ("broken.png", data)})
    assert answer.status_code == 201, answer.text
    image_id = ids.image_id(data)
    document = await system.ready(http, image_id)
    assert document["status"] == "failed"
    assert document["failed"]["analysis"]["code"] == "corrupt_pixels"
    rendition = await http.get(f"/image/images/{image_id}?width=10")
    assert (rendition.status_code, rendition.json()["code"]) == (422, "corrupt_pixels")
    assert (await http.get(f"/image/images/{image_id}")).content == data
    letters = await system.dead_letters("inference-uploaded")
    assert [letter.code for letter in letters if letter.image_id == image_id] == ["corrupt_pixels"]


async def test_many_at_once_are_all_listed_once_and_pages_miss_none(
    system: System, http: httpx.AsyncClient
) -> None:
    pictures = [picture(seed) for seed in range(1000, 1030)]
    answers = await asyncio.gather(
        *(
            http.post("/registry/upload", files={"file": ("p.jpg", data)}, data={"tags": "many"})
            for data in pictures
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    for data in pictures:
        await system.ready(http, ids.image_id(data))
    found: list[str] = []
    query = "/metadata/images/list?tag=many&limit=7"
    cursor = ""
    while True:
        page = (await http.get(query + (f"&cursor={cursor}" if cursor else ""))).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
    assert sorted(found) == sorted(ids.image_id(data) for data in pictures)
