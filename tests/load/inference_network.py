"""For `inference.py`: a network of its own, in the service and in bare loops, batched or not."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import cv2
import numpy as np
import onnx
from imagesystem.models import ModelFile, ModelSpec, Shelf
from inference_service.decoding import decode
from inference_service.networks.host import Host, HostLimits
from inference_service.networks.network import Network, model_of
from onnx import TensorProto, helper, numpy_helper
from rich.table import Table

from tests.load.inference_cases import CORES, Service, Spent, cpu_seconds, photographs, service

#: The network's input, and the folder and name that its model has.
SIDE, MODEL = 224, "bench"
MOST_PIXELS = 100_000_000
#: Pictures of a round, rounds at least.
COUNT, LEAST_ROUNDS = 32, 3
#: What the service looks at together in each of its ways.
SERVICES = {"batches of up to 8": 8, "one at a time": 1}
#: Processes of a bare loop, and threads of the session in each.
LOOPS = {"one process": (1, CORES), f"a session in each of {CORES}": (CORES, 1)}


def _network() -> bytes:
    """Return an encoder of about 0.8 GMAC: convolutions as in a small ResNet, random weights."""
    random = np.random.default_rng(1)
    nodes, constants, last = [], [], "picture"
    widths = [(3, 32, 2), (32, 64, 2), (64, 128, 2), (128, 128, 1), (128, 128, 1), (128, 128, 1)]
    widths += [(128, 256, 2), (256, 256, 1), (256, 256, 1)]
    for number, (narrow, wide, stride) in enumerate(widths):
        weights = random.normal(0, (2 / (narrow * 9)) ** 0.5, (wide, narrow, 3, 3))
        constants.append(numpy_helper.from_array(weights.astype(np.float32), f"w{number}"))
        nodes += [
            helper.make_node(
                "Conv", [last, f"w{number}"], [f"c{number}"], strides=[stride] * 2, pads=[1] * 4
            ),
            helper.make_node("Relu", [f"c{number}"], [f"r{number}"]),
        ]
        last = f"r{number}"
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["image_embeds"]),
    ]
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", 256])],
        constants,
    )
    made: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    return made.SerializeToString()


def _install(folder: Path) -> None:
    """Put the network on a shelf and have it answer `embedding`."""
    shelf, body = Shelf(folder), _network()
    folder.mkdir()
    (folder / ".image").write_bytes(body)
    file = ModelFile(role="image", name="m.onnx", sha256=hashlib.sha256(body).hexdigest())
    spec = ModelSpec(name=MODEL, kind="encoder", tasks=("embedding",), licence="MIT", files=(file,))
    shelf.install(spec, {"m.onnx": folder / ".image"})
    shelf.use("embedding", MODEL)


#: The networks of a process of the benchmark's own.
_loaded: list[tuple[Network, int, Host]] = []


def _open(folder: str, threads: int) -> None:
    cv2.setNumThreads(1)
    shelf = Shelf(Path(folder))
    host = Host(shelf, HostLimits(threads=threads))
    model = model_of("embedding", shelf.model(MODEL), host)
    assert isinstance(model.run, Network)
    _loaded.append((model.run, model.side, host))
    _encode(photographs(1)[0])


def _encode(data: bytes) -> None:
    run, side, host = _loaded[0]
    picture = decode(data, max_pixels=MOST_PIXELS, side=side).reduced(side)
    run.answer(picture, {}, host)


async def networks(seconds: float, step: Callable[[str], None]) -> Table:
    """Return pictures a second of a network: in the service and in a loop, batched or not."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "models"
        _install(folder)
        async with AsyncExitStack() as stack:
            ways, batches = await _ways(stack, folder)
            found: dict[str, list[Spent]] = {name: [] for name in ways}
            until, number = time.perf_counter() + seconds, 0
            while number < LEAST_ROUNDS or time.perf_counter() < until:
                turn = [data + number.to_bytes(2) for data in photographs(COUNT)]
                for name, way in ways.items():
                    found[name].append(await way(turn))
                number += 1
            means = {name: await batch() for name, batch in batches.items()}
    step(f"{number} rounds")
    return _told(found, means)


def _told(found: dict[str, list[Spent]], batches: dict[str, float | None]) -> Table:
    first = f"bare loop, {next(iter(LOOPS))}"
    table = Table(title=f"a network of 0.8 GMAC, {len(found[first])} rounds of {COUNT} pictures")
    for column in ("way", "pictures/s", "of a bare loop", "CPU ms", "mean batch"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, rounds in found.items():
        pairs = zip(rounds, found[first], strict=True)
        table.add_row(
            name,
            f"{statistics.median(spent.rate for spent in rounds):.1f}",
            f"{statistics.median(ours.rate / theirs.rate for ours, theirs in pairs):.2f}",
            f"{statistics.median(spent.cpu_ms for spent in rounds):.1f}",
            f"{batches.get(name) or 1:.1f}",
        )
    return table


async def _ways(
    stack: AsyncExitStack, folder: Path
) -> tuple[
    dict[str, Callable[[list[bytes]], Awaitable[Spent]]],
    dict[str, Callable[[], Awaitable[float | None]]],
]:
    """Return what looks at pictures, by name; and of what batches, their mean size."""
    context = multiprocessing.get_context("spawn")
    ways: dict[str, Callable[[list[bytes]], Awaitable[Spent]]] = {}
    batches: dict[str, Callable[[], Awaitable[float | None]]] = {}
    for name, (processes, threads) in LOOPS.items():
        arguments = (str(folder), threads)
        pool = stack.enter_context(ProcessPoolExecutor(processes, context, _open, arguments))
        list(pool.map(_encode, photographs(2 * CORES)))
        ways[f"bare loop, {name}"] = lambda turn, pool=pool: asyncio.to_thread(  # type: ignore[misc]
            _loop, pool, turn
        )
    for name, most in SERVICES.items():
        # a batch has no more pictures than there are workers
        settings = {"models_dir": str(folder), "workers": 4 * CORES, "batch_max": most}
        running = await stack.enter_async_context(service(("embedding",), **settings))
        ways[f"service, {name}"] = running.look
        batches[f"service, {name}"] = lambda running=running: _batch(running)  # type: ignore[misc]
    return ways, batches


def _loop(pool: ProcessPoolExecutor, pictures: list[bytes]) -> Spent:
    pids = list(pool._processes or ())
    cpu, started = cpu_seconds(pids), time.perf_counter()
    list(pool.map(_encode, pictures))
    took = time.perf_counter() - started
    return Spent(pictures=len(pictures), seconds=took, cpu_s=cpu_seconds(pids) - cpu)


async def _batch(running: Service) -> float | None:
    rows = (await running.http.get("/inference/models")).json()["models"]
    (row,) = [row for row in rows if row["task"] == "embedding"]
    mean: float | None = row["standing"]["batch"]
    return mean
