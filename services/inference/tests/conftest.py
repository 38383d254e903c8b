from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from imagesystem.models import Shelf
from inference_service.networks.batching import BatchLimits
from inference_service.networks.host import Host, HostLimits

from services.inference.tests.stage import ALL, Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.listen()
    yield stage
    await stage.stop()


@pytest.fixture
async def full() -> AsyncIterator[Stage]:
    stage = Stage(ALL)
    await stage.listen()
    yield stage
    await stage.stop()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "models")


@pytest.fixture
def host(shelf: Shelf) -> Host:
    return Host(shelf, HostLimits(threads=1, batch=BatchLimits(most=4, wait_s=0.01)))
