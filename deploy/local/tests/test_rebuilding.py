"""`image-system rebuild` and `rerun` against a metadata service on a socket."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from imagesystem.memory import MemoryPlatform
from local_stack import rebuilding
from local_stack.cli import app
from local_stack.errors import StackError
from metadata_service.app import create_app
from metadata_service.memory import MemoryStore
from metadata_service.settings import Settings
from rich.console import Console
from typer.testing import CliRunner

from services.metadata.tests.samples import image_id, inferred, planned, uploaded
from tests.conftest import free_port


class Service:
    """The metadata service on in-memory twins, behind a real socket."""

    def __init__(self, url: str, platform: MemoryPlatform, store: MemoryStore) -> None:
        self.url, self.bus, self.store = url, platform.bus, store


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    platform, store = MemoryPlatform(), MemoryStore()
    port = free_port()
    config = uvicorn.Config(
        create_app(Settings(), platform.connect, store.open),
        port=port,
        log_config=None,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    for number in (1, 2, 3):
        name = image_id(number)
        await platform.bus.publish(uploaded(name))
        await platform.bus.publish(planned(name))
    await platform.bus.publish(inferred(image_id(1), version="1"))
    await platform.bus.settle()
    yield Service(f"http://127.0.0.1:{port}", platform, store)
    server.should_exit = True
    await serving


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


async def test_a_rebuild_is_followed_to_its_end(service: Service):
    outcome = await asyncio.to_thread(rebuilding.rebuild, service.url, console(), accept_loss=False)
    assert (outcome.phase, outcome.same, outcome.facts) == ("done", True, 7)
    text = rebuilding.render(outcome)
    assert "the same documents as before" in text
    assert "before 3 documents, digest " in text


async def test_what_differs_is_listed(service: Service):
    del service.store.documents[image_id(2)]
    outcome = await asyncio.to_thread(rebuilding.rebuild, service.url, console(), accept_loss=False)
    text = rebuilding.render(outcome)
    assert "1 images differ" in text
    assert f"{image_id(2)} only_after" in text


async def test_a_rebuild_that_is_refused_says_why_and_fails(service: Service):
    for subject in [subject for subject in service.bus.log if image_id(3) in subject]:
        del service.bus.log[subject]
    command = ["rebuild", "metadata", "--url", service.url]
    result = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert result.exit_code == 1
    assert "refused" in result.output
    assert image_id(3) in result.output
    result = await asyncio.to_thread(CliRunner().invoke, app, [*command, "--accept-loss"])
    assert result.exit_code == 0, result.output


async def test_a_rerun_asks_for_what_is_missing_or_outdated(service: Service):
    command = ["rerun", "--task", "analysis", "--missing", "--older-than", "2"]
    command += ["--url", service.url]
    result = await asyncio.to_thread(CliRunner().invoke, app, [*command, "--dry-run"])
    assert "3 would be asked for" in result.output, result.output
    assert not any(subject.startswith("commands.") for subject in service.bus.log)
    result = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert result.exit_code == 0
    assert "2 without an answer, 1 with an outdated one, 0 current; 3 asked for" in result.output
    again = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert "0 asked for, 3 asked for before and not done yet" in again.output


async def test_an_unknown_task_is_one_clear_line(service: Service):
    with pytest.raises(StackError, match="task 'dreams' is none of analysis"):
        await asyncio.to_thread(
            rebuilding.rerun, service.url, console(), {"task": "dreams", "missing": True}
        )


async def test_nobody_there():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StackError, match=r"//127.0.0.1:\d+/metadata does not answer"):
        await asyncio.to_thread(rebuilding.rebuild, url, console(), accept_loss=False)
    with pytest.raises(StackError, match="run it again"):
        await asyncio.to_thread(
            rebuilding.rerun, url, console(), {"task": "analysis", "missing": True}
        )


def test_no_stack_in_the_folder(tmp_path: Path):
    with pytest.raises(StackError, match="no stack is running"):
        rebuilding.ingress(tmp_path)


def test_a_rerun_of_nothing_in_particular():
    result = CliRunner().invoke(app, ["rerun", "--task", "analysis"])
    assert result.exit_code == 2
    assert "--missing" in result.output
