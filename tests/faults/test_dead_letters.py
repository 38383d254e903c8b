"""From a picture that kills its worker to a replay that succeeds, with MongoDB away in between."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from typing import Any

import httpx
import pytest
from imagesystem import ids
from local_stack import cli
from typer.testing import CliRunner

from tests.faults.test_kills import upload_until_accepted
from tests.pictures import picture
from tests.system import PATIENCE_S, System

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

POISON = picture(77_777)
POISONED = {"POISON_SHA256": hashlib.sha256(POISON).hexdigest()}
COMMANDS = CliRunner()


async def letters(http: httpx.AsyncClient, **wanted: str) -> list[dict[str, Any]]:
    answer = await http.get("/metadata/dead-letters", params=wanted)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def command(system: System, *arguments: str) -> str:
    line = [*arguments, "--data-dir", str(system.stack.data_dir)]
    ended = await asyncio.to_thread(COMMANDS.invoke, cli.app, line)
    assert ended.exit_code == 0, ended.exception
    return ended.output


@pytest.mark.parametrize("environment", [POISONED], indirect=True)
async def test_letters_are_there_when_mongodb_is_not(
    system: System, http: httpx.AsyncClient
) -> None:
    await upload_until_accepted(http, POISON)
    image_id = ids.image_id(POISON)
    assert (await system.ready(http, image_id))["status"] == "failed"
    (letter,) = await letters(http, image=image_id)
    assert (letter["code"], letter["attempts"]) == ("worker_died", 4)
    pid = system.stack.parts["mongodb"].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # it hangs: worse than a refused connection
    try:
        assert (await http.get("/metadata/images/list")).status_code == 503
        assert await letters(http, image=image_id) == [letter]
        shown = (await http.get(f"/metadata/dead-letters/{letter['id']}")).json()
        assert shown["payload"]["image_id"] == image_id
        assert "WorkerDied" in shown["traceback"]
        assert letter["id"] in await command(system, "dead-letters", "list")
        answer = await http.post(f"/metadata/dead-letters/{letter['id']}/replay")
        assert answer.status_code == 202
    finally:
        os.kill(pid, signal.SIGCONT)
    async with asyncio.timeout(2 * PATIENCE_S):  # it kills its worker as before
        while (await letters(http))[0]["attempts"] == 4:
            await asyncio.sleep(0.2)
    (again,) = await letters(http)
    as_before = {name: letter[name] for name in ("attempts", "last_at", "position")}
    assert again | as_before == letter
    assert again["attempts"] == 8


async def until_paused(http: httpx.AsyncClient, names: list[str]) -> None:
    """Return once the service says that these are paused; it looks now and then, and is ready."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            ready = await http.get("/inference/health/ready")
            assert ready.status_code == 200
            if list(ready.json()["paused"]) == names:
                return
            await asyncio.sleep(0.1)


async def test_a_paused_task_waits_and_the_system_says_so(
    system: System, http: httpx.AsyncClient
) -> None:
    await command(system, "pause", "inference.uploaded", "--for", "10m")
    await until_paused(http, ["inference-uploaded"])
    assert "paused until" in await command(system, "status")
    data = picture(77_778)
    await upload_until_accepted(http, data)
    image_id = ids.image_id(data)
    async with asyncio.timeout(PATIENCE_S):  # metadata goes on
        while (await http.get(f"/metadata/images/{image_id}")).status_code != 200:
            await asyncio.sleep(0.1)
    assert (await http.get(f"/metadata/images/{image_id}")).json()["planned"] is None
    await command(system, "resume", "inference.uploaded")
    assert (await system.ready(http, image_id))["status"] == "ready"
    await until_paused(http, [])
