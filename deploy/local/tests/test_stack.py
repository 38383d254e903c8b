"""The stack on the real servers: it starts, mends itself, keeps its data and stops."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import nats
import pytest
from imagesystem.permissions import inbox_prefix
from local_stack import Stack, StackError, credentials, mongodb, processes, state
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

pytestmark = pytest.mark.integration
STAND_IN = Path(__file__).with_name("stand_in.py")


async def test_everything_is_ready_and_written_down(stack: Stack) -> None:
    assert all(part.status == "ready" for part in stack.parts.values())
    written = state.read(stack.data_dir)
    assert written is not None
    assert written.phase == "running"
    assert {part.name: part.pid for part in written.parts} == {
        part.name: part.pid for part in stack.parts.values()
    }
    assert stack.parts["inference-2"].version == "0.0.1"
    for part in stack.parts.values():
        assert processes.is_running(part.process)
    secret = stack.plan.credentials.nats["registry"]
    assert secret not in (stack.data_dir / "state.json").read_text()


@pytest.mark.parametrize("name", ["nats", "mongodb", "traefik", "inference-1", "metadata"])
async def test_what_is_killed_starts_again_on_its_port(stack: Stack, name: str) -> None:
    port, restarts = stack.parts[name].port, stack.parts[name].restarts
    old = await stack.kill(name)
    await stack.wait_ready()
    assert stack.parts[name].pid != old
    assert (stack.parts[name].port, stack.parts[name].restarts) == (port, restarts + 1)


async def test_a_killed_service_leaves_neither_workers_nor_litter_behind(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.url) as http:
        said = (await http.get("/image/x")).json()
    worker, litter = said["worker"], said["litter"]
    assert processes.identify(worker)
    async with asyncio.timeout(30):
        while not os.path.exists(litter):  # noqa: ASYNC240, PTH110  a look, not a wait
            await asyncio.sleep(0.05)
        await stack.kill("image")
        while processes.identify(worker):
            await asyncio.sleep(0.05)
    assert not os.path.exists(litter)  # noqa: ASYNC240, PTH110
    await stack.wait_ready()


async def test_a_part_can_be_held_and_resumed(stack: Stack) -> None:
    await stack.hold("mongodb")
    assert stack.parts["mongodb"].pid is None
    await stack.resume("mongodb")
    assert stack.parts["mongodb"].status == "ready"


async def test_what_says_that_it_is_dead_is_restarted(stack: Stack) -> None:
    old = stack.parts["augmentation"].pid
    async with httpx.AsyncClient(base_url=stack.url) as http:
        await http.get("/augmentation/break")
    async with asyncio.timeout(30):
        while stack.parts["augmentation"].pid in (old, None):
            await asyncio.sleep(0.05)
    await stack.wait_ready()


async def test_a_folder_has_one_stack(stack: Stack, make_stack: Callable[..., Stack]) -> None:
    with pytest.raises(StackError, match=r"a stack is running in .* already"):
        await make_stack(stack.data_dir).start()
    assert all(part.status == "ready" for part in stack.parts.values())


@pytest.mark.parametrize(("option", "name"), [("port", "traefik"), ("nats_port", "nats")])
async def test_a_taken_port_names_the_option(
    stack: Stack, make_stack: Callable[..., Stack], tmp_path: Path, option: str, name: str
) -> None:
    port = stack.parts[name].port
    with pytest.raises(StackError) as caught:
        await make_stack(tmp_path, **{option: port}).start()
    assert f"port {port} is taken" in str(caught.value)
    assert "--" + option.replace("_", "-") in str(caught.value)


async def test_mongodb_lets_nobody_in_without_the_password(stack: Stack) -> None:
    port = stack.parts["mongodb"].port
    async with AsyncMongoClient(f"mongodb://127.0.0.1:{port}/?directConnection=true") as nobody:
        with pytest.raises(OperationFailure):
            await nobody[mongodb.DATABASE].command("listCollections")
    url = mongodb.url_for(port, "metadata", stack.plan.credentials.mongodb["metadata"])
    async with AsyncMongoClient(url) as metadata:
        await metadata[mongodb.DATABASE].things.insert_one({"_id": 1})
        with pytest.raises(OperationFailure):
            await metadata["elsewhere"].things.insert_one({"_id": 1})


async def test_data_survives_a_restart(make_stack: Callable[..., Stack], tmp_path: Path) -> None:
    async with make_stack(tmp_path) as first:
        password = first.plan.credentials.mongodb["metadata"]
        url = mongodb.url_for(first.parts["mongodb"].port, "metadata", password)
        async with AsyncMongoClient(url) as client:
            await client[mongodb.DATABASE].things.insert_one({"_id": "kept"})
        registry = await nats.connect(
            first.nats_url("registry"), inbox_prefix=inbox_prefix("registry")
        )
        config = b'{"name":"IMAGES","subjects":["images.v1.>"],"storage":"file"}'
        await registry.request("$JS.API.STREAM.CREATE.IMAGES", config)
        await registry.request("images.v1.x.uploaded", b"kept")
        await registry.close()
    stopped = state.read(tmp_path)
    assert stopped is not None
    assert stopped.phase == "stopped"
    assert all(part.process is None for part in stopped.parts)

    async with make_stack(tmp_path) as second:
        assert second.plan.credentials == first.plan.credentials
        url = mongodb.url_for(second.parts["mongodb"].port, "metadata", password)
        async with AsyncMongoClient(url) as client:
            assert await client[mongodb.DATABASE].things.find_one() == {"_id": "kept"}
        registry = await nats.connect(
            second.nats_url("registry"), inbox_prefix=inbox_prefix("registry")
        )
        answer = await registry.request("$JS.API.STREAM.INFO.IMAGES", b"")
        assert b'"messages":1' in answer.data
        await registry.close()


async def test_lost_credentials_are_one_line(stack: Stack) -> None:
    forgotten = dict.fromkeys(credentials.MONGODB_USERS, "forgotten")
    with pytest.raises(StackError, match=r"knows other passwords than credentials\.json"):
        await mongodb.ensure_users(stack.parts["mongodb"].port, forgotten)


async def test_a_service_that_cannot_start_says_why_and_nothing_is_left(
    make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    broken = (sys.executable, "-c", "import nothing_of_that_name")
    failing = make_stack(tmp_path, command_of=lambda _service: broken)
    with pytest.raises(StackError) as caught:
        await failing.start()
    assert "does not start (exit status 1): ModuleNotFoundError" in str(caught.value)
    assert ".log" in str(caught.value)
    assert all(part.pid is None for part in failing.parts.values())


async def test_a_service_that_is_never_ready_is_given_up(
    make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    idle = (sys.executable, "-c", "import time; time.sleep(999)")
    with pytest.raises(StackError, match="is not ready after 3 s"):
        await make_stack(tmp_path, command_of=lambda _: idle, start_timeout_s=3.0).start()


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from local_stack import Stack

async def main():
    command = lambda service: (sys.executable, sys.argv[2], service)
    async with Stack(Path(sys.argv[1]), port=0, nats_port=0, command_of=command):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start cleans up")
async def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUPERVISOR, str(tmp_path), str(STAND_IN)),
        stdout=subprocess.PIPE,
    )
    assert supervisor.stdout is not None
    assert await supervisor.stdout.readline() == b"ready\n"
    written = state.read(tmp_path)
    assert written is not None
    supervisor.kill()
    await supervisor.wait()
    async with asyncio.timeout(30):
        while any(processes.is_running(part.process) for part in written.parts):
            await asyncio.sleep(0.05)


async def test_the_next_start_stops_what_was_left_behind(
    stack: Stack, make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    orphan = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(999)", start_new_session=True
    )
    left = state.read(stack.data_dir)
    assert left is not None
    left.parts = [left.parts[0]]
    left.parts[0].process = processes.identify(orphan.pid)
    state.write(tmp_path, left)
    broken = make_stack(tmp_path, nats_port=stack.parts["nats"].port)
    with pytest.raises(StackError, match="is taken"):  # it comes that far
        await broken.start()
    assert await orphan.wait() == -signal.SIGTERM
