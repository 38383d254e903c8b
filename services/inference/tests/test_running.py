"""How networks are run: threads, warm before ready, one process that leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime
import psutil
import pytest
from imagesystem.memory import MemoryPlatform
from imagesystem.models import Shelf
from imagesystem.testing import client
from inference_service import cascades
from inference_service import settings as settings_module
from inference_service.app import create_app
from inference_service.networks.host import HostLimits
from inference_service.networks.running import FOLDER, Runner
from inference_service.networks.sessions import Session
from inference_service.settings import Settings
from inference_service.text.engine import engine

from services.inference.tests import onnx_models
from services.inference.tests.onnx_models import install


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options of each session that onnxruntime makes from now on."""
    seen: list[Any] = []
    make = onnxruntime.InferenceSession

    def noted(path: str, options: Any, **more: Any) -> Any:
        seen.append(options)
        return make(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", noted)
    return seen


def spins(options: Any) -> str:
    return str(options.get_session_config_entry("session.intra_op.allow_spinning"))


def test_a_session_has_as_many_threads_as_there_are_cores_and_none_spins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[Any]
) -> None:
    monkeypatch.setattr(settings_module, "usable_cores", lambda: 3)
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx_models.classifier())
    before = psutil.Process().num_threads()
    session = Session(path, "cpu", Settings().networks.threads)
    assert psutil.Process().num_threads() == before + 2  # whoever asks is the third
    assert session.signature.free
    (chosen,) = options
    assert (chosen.intra_op_num_threads, chosen.inter_op_num_threads) == (3, 1)
    assert spins(chosen) == "0"


def test_in_a_worker_a_session_has_one_thread(options: list[Any]) -> None:
    engine.cache_clear()
    engine()
    assert {(o.intra_op_num_threads, o.inter_op_num_threads) for o in options} == {(1, 1)}
    assert set(map(spins, options)) == {"0"}


def cascades_loaded() -> int:
    """Return how many cascades this process has loaded; runs in a worker."""
    return cascades._classifier.cache_info().currsize


async def test_all_is_warm_before_the_service_is_ready(shelf: Shelf) -> None:
    install(
        shelf, "made", "yolox", ("objects",), {"image": onnx_models.yolox()}, classes=("a", "b")
    )
    shelf.use("objects", "made")
    settings = Settings(workers=1, tasks="faces,objects", models_dir=str(shelf.folder), niceness=0)
    app = create_app(settings, MemoryPlatform().connect)
    async with client(app) as http:
        assert (await http.get("/inference/health/ready")).status_code == 200
        rows = {row["task"]: row for row in (await http.get("/inference/models")).json()["models"]}
        assert rows["objects"]["model"] == "made"
        assert rows["objects"]["standing"]["loaded"]
        pool = app.state.recognition._examination.pool
        assert await pool.run(cascades_loaded) > 0


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, of this process and of those that it starts."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def inside(folder: Path) -> set[Path]:
    return set(folder.iterdir())


async def test_folders_of_processes_that_were_killed_are_removed(temporary: Path) -> None:
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    left = temporary / f"{FOLDER}-{ended.pid}-abc"
    others = [temporary / f"{FOLDER}-{os.getppid()}-abc", temporary / f"{FOLDER}-results-1"]
    for folder in (left, *others):
        folder.mkdir()
    async with Runner(temporary / "models", HostLimits()) as runner:
        assert inside(temporary) == {left, *others}  # nothing is needed yet
        await runner.start()
        assert runner.trouble is None
        assert left not in inside(temporary)
        assert len(inside(temporary)) == len(others) + 1
    assert inside(temporary) == set(others)


LOADED = """
from inference_service.text.engine import engine
engine()
"""


def test_the_runtime_reports_to_nobody(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would leave an id for its reports in the home folder, and its session beside."""
    monkeypatch.setenv("HOME", str(temporary))
    for name in ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY"):  # it is silent there anyway
        monkeypatch.delenv(name, raising=False)
    subprocess.run([sys.executable, "-c", LOADED], check=True)
    assert list(temporary.iterdir()) == []


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from inference_service.networks.host import HostLimits
from inference_service.networks.running import Runner

async def main():
    runner = Runner(Path(sys.argv[1]), HostLimits())
    await runner.start()
    assert Path(runner.socket).exists()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_service_that_is_killed_leaves_no_process_and_no_folder(temporary: Path) -> None:
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(temporary / "models")
    )
    assert await service.wait() == -9
    async with asyncio.timeout(60):
        while inside(temporary):
            await asyncio.sleep(0.05)
