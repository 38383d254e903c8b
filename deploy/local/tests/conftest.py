"""A stack of the real servers, with stand-ins for the services."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import structlog
from local_stack import Stack

STAND_IN = Path(__file__).with_name("stand_in.py")


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Keep logs out of what commands print, as `main` does."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.configure(**before)


def stand_in(service: str) -> tuple[str, ...]:
    return (sys.executable, str(STAND_IN), service)


@pytest.fixture(scope="session")
def make_stack() -> Callable[..., Stack]:
    """Return what makes a stack on free ports, with stand-ins for the services."""

    def make(folder: Path, **options: object) -> Stack:
        settings = {"port": 0, "nats_port": 0, "command_of": stand_in, "start_timeout_s": 60.0}
        return Stack(folder, **(settings | options))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
async def stack(
    tmp_path_factory: pytest.TempPathFactory, make_stack: Callable[..., Stack]
) -> AsyncIterator[Stack]:
    """One stack for the tests that leave it as it was."""
    async with make_stack(tmp_path_factory.mktemp("stack"), scale={"inference": 2}) as running:
        yield running
