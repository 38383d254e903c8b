"""One Compose project for all of these tests, on ports of its own; gone afterwards."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from typing import cast

import httpx
import pytest
from local_stack.stack import Stack

from tests.conftest import free_port
from tests.containers.engine import ComposeProject, copy_sources, reason_to_skip
from tests.system import System

ORIGIN = "https://pictures.example"


@pytest.fixture(scope="session")
def engine() -> None:
    """Skip where nothing can be run in containers."""
    reason = reason_to_skip()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def project(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeProject]:
    folder = tmp_path_factory.mktemp("compose")
    copy_sources(folder)
    shutil.copy(folder / ".env.example", folder / ".env")
    project = ComposeProject(
        folder,
        "image-system-tests",
        http_port=free_port(),
        nats_port=free_port(),
        environment={"CORS_ORIGINS": ORIGIN},
    )
    project.down()  # what a run before, that was killed, left behind
    try:
        project.up()
        yield project
    finally:
        project.down()


@pytest.fixture(scope="session")
async def system(project: ComposeProject) -> AsyncIterator[System]:
    # a project has what System uses of a stack
    system = System(cast("Stack", project))
    yield system
    await system.close()


@pytest.fixture(scope="session")
async def http(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=system.url, timeout=60) as client:
        yield client
