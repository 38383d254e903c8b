"""Pictures that kill the process that decodes them, in real worker processes, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from image_service import app as app_module
from image_service.app import create_app
from image_service.settings import Settings
from imagesystem.testing import client

from services.image.tests import poison
from services.image.tests.samples import gradient, saved


@pytest.fixture(scope="module")
async def deadly(platform) -> AsyncIterator[httpx.AsyncClient]:
    """A service of two workers that poison kills."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "prepare", poison.prepare)
        async with client(create_app(Settings(workers=2), platform.connect)) as http:
            yield http


@pytest.fixture
def deaths(tmp_path) -> Path:
    path = tmp_path / "deaths"
    path.touch()
    return path


def deadly_picture(deaths: Path) -> bytes:
    return saved(gradient(), "JPEG", comment=poison.comment(deaths))


async def test_a_picture_that_kills_its_decoder_is_refused_and_the_others_are_served(
    deadly, upload, deaths
):
    killer = (await upload(deadly_picture(deaths))).image_id
    good = [(await upload(saved(gradient(96, 40 + n), "JPEG"), height=40 + n)) for n in range(4)]
    first, second, *others = await asyncio.gather(
        *(deadly.get(f"/image/images/{killer}?w=30") for _ in range(2)),
        *(deadly.get(f"/image/images/{each.image_id}?w=30") for each in good),
    )
    for answer in (first, second):
        assert (answer.status_code, answer.json()["code"]) == (422, "unprocessable_picture")
        assert answer.headers["cache-control"] == "no-store"
    assert [answer.status_code for answer in others] == [200] * 4
    # Not tried again and again. (A first death may have been somebody else's doing.)
    assert len(deaths.read_bytes()) == 2
    for query in ("?w=30", "?w=31", "?blur=2", "/info", "/placeholder", "/palette"):
        answer = await deadly.get(f"/image/images/{killer}{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "unprocessable_picture")
    assert (await deadly.head(f"/image/images/{killer}?w=30")).status_code == 422
    assert len(deaths.read_bytes()) == 2
    assert (await deadly.get(f"/image/images/{killer}")).status_code == 200  # as it was uploaded


async def test_a_file_that_kills_its_decoder_is_refused_and_the_next_is_transformed(deadly, deaths):
    killer, good = (
        {"file": ("a.jpg", data)} for data in (deadly_picture(deaths), saved(gradient()))
    )
    answers = await asyncio.gather(
        *(deadly.post("/image/transform?w=20", files=each) for each in (good, killer, good, good))
    )
    assert [answer.status_code for answer in answers] == [200, 422, 200, 200]
    assert answers[1].json()["code"] == "unprocessable_picture"
    assert (await deadly.post("/image/transform?w=21", files=killer)).status_code == 422
    assert len(deaths.read_bytes()) == 2, "it is not tried again"


async def test_all_that_wait_for_a_picture_that_kills_are_refused_at_once(deadly, upload, deaths):
    killer = (await upload(deadly_picture(deaths))).image_id
    answers = await asyncio.gather(
        *(deadly.get(f"/image/images/{killer}?w={width}") for width in range(20, 32))
    )
    assert {answer.status_code for answer in answers} == {422}
    # Twice each for those that were with a worker when the first died.
    assert len(deaths.read_bytes()) <= 4


async def test_a_watermark_that_kills_is_not_the_fault_of_what_it_is_drawn_on(
    deadly, upload, deaths
):
    killer = (await upload(deadly_picture(deaths))).image_id
    good = await upload(saved(gradient(96, 50), "JPEG"), height=50)
    url = f"/image/images/{good.image_id}?w=30"
    for _ in range(2):
        marked = await deadly.get(f"{url}&watermark={killer}")
        assert (marked.status_code, marked.json()["code"]) == (422, "unprocessable_picture")
    assert len(deaths.read_bytes()) == 2
    assert (await deadly.get(url)).status_code == 200
