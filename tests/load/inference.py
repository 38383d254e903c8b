"""`just bench inference`: each task through the service against a bare loop over the same code.

The service is all of it but NATS: events on the in-memory bus, planning, worker processes, facts.
The bare loop decodes and asks the model, in as many processes, and does nothing else. Then a
network of the benchmark's own: batched or not, and in every worker or in one process. Then, on
the whole stack, from upload until every task has answered; and the memory over many pictures.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import multiprocessing
import os
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import httpx
import nats
import numpy as np
import onnx
import psutil
from imagesystem import ids, logs
from imagesystem.events import Inferred, Uploaded
from imagesystem.memory import MemoryPlatform
from imagesystem.models import ModelFile, ModelSpec, Shelf
from imagesystem.testing import client
from imagesystem.workers import usable_cores
from inference_service.app import create_app
from inference_service.decoding import decode
from inference_service.looking import prepare_worker
from inference_service.models import BUILT_IN
from inference_service.networks.host import Host, HostLimits
from inference_service.networks.network import Network, model_of
from inference_service.settings import Settings
from inference_service.tasks import TASKS
from local_stack.stack import Stack
from nats.aio.msg import Msg
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.load.upload import percentiles, timed
from tests.pictures import SAMPLES

console = Console()
CORES = usable_cores()
MOST_PIXELS = 100_000_000
#: The network's input, and the folder and name that its model has.
SIDE, MODEL = 224, "bench"


def photographs(count: int, size: tuple[int, int] = (800, 600)) -> list[bytes]:
    """Return JPEGs of the samples with a line of text, each with its own bytes."""
    names = sorted(path.name for path in SAMPLES.glob("*.*") if path.suffix in {".png", ".jpg"})
    made = []
    for number in range(count):
        with Image.open(SAMPLES / names[number % len(names)]) as image:
            picture = image.convert("RGB").resize(size)
        words = ImageDraw.Draw(picture)
        words.text((20, 20), f"photograph number {number}", fill="white", font_size=size[1] // 20)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=88)
        made.append(stream.getvalue())
    return made


def announced(data: bytes) -> Uploaded:
    """Return the fact that a picture was uploaded."""
    return Uploaded(
        image_id=ids.image_id(data),
        filename="bench.jpg",
        media_type="image/jpeg",
        size_bytes=len(data),
        width=800,
        height=600,
        frames=1,
        sha256=hashlib.sha256(data).hexdigest(),
        uploaded_at=ids.now(),
    )


class Service:
    """The service on a bus in memory."""

    def __init__(self, memory: MemoryPlatform, http: httpx.AsyncClient) -> None:
        self.memory = memory
        self.http = http

    async def seconds(self, pictures: list[bytes], tasks: tuple[str, ...]) -> float:
        """Return how long it takes from the first upload to the last answer."""
        events = [announced(data) for data in pictures]
        originals = self.memory.bucket("originals")
        for event, data in zip(events, pictures, strict=True):
            await originals.put(event.image_id, data)
        started = time.perf_counter()
        for event in events:
            await self.memory.bus.publish(event)
        await self.memory.bus.settle()
        took = time.perf_counter() - started
        facts = await self.memory.bus.facts(events[-1].image_id)
        assert {f.event.task for f in facts if isinstance(f.event, Inferred)} == set(tasks)
        return took

    async def forget(self, pictures: list[bytes]) -> None:
        """Delete pictures: it is the service's memory that counts."""
        originals = self.memory.bucket("originals")
        for data in pictures:
            info = await originals.info(ids.image_id(data))
            assert info is not None
            await originals.delete(info)


@asynccontextmanager
async def service(tasks: tuple[str, ...], **settings: Any) -> AsyncIterator[Service]:
    """Run the service for some tasks."""
    memory = MemoryPlatform()
    given: dict[str, Any] = {"workers": CORES, "tasks": ",".join(tasks), "log_level": "error"}
    given |= {"niceness": 0} | settings  # neither side yields to what else runs here
    async with client(create_app(Settings(**given), memory.connect)) as http:
        yield Service(memory, http)


def _prepare(tasks: tuple[str, ...]) -> None:
    prepare_worker([BUILT_IN[task] for task in tasks])


def _bare(tasks: tuple[str, ...], data: bytes) -> None:
    models = [BUILT_IN[task] for task in tasks]
    picture = decode(data, max_pixels=MOST_PIXELS, side=max(64, *(model.side for model in models)))
    found: dict[str, Any] = {}
    for model in models:
        found[model.task] = model.run(picture.reduced(max(64, model.side)), found)


def bare_seconds(pool: ProcessPoolExecutor, tasks: tuple[str, ...], pictures: list[bytes]) -> float:
    """Return how long the loop takes in all processes of a pool."""
    started = time.perf_counter()
    list(pool.map(partial(_bare, tasks), pictures))
    return time.perf_counter() - started


async def tasks_against_loops(count: int, rounds: int) -> None:
    """Print each task's pictures a second through the service and in a bare loop."""
    table = Table(title=f"pictures/s, {CORES} workers, {rounds} rounds in turns")
    for column in ("task", "pictures", "service", "bare loop", "ratio"):
        table.add_column(column, justify="left" if column == "task" else "right")
    kinds: list[tuple[str, ...]] = [(task,) for task in TASKS if task != "labels"]
    kinds.append(tuple(TASKS))
    context = multiprocessing.get_context("spawn")
    for tasks in kinds:
        pictures = photographs(count if "text" not in tasks else max(4, count // 4))
        with ProcessPoolExecutor(CORES, context, _prepare, (tasks,)) as pool:
            list(pool.map(partial(_bare, tasks), pictures[:CORES]))
            served = bare = 0.0
            async with service(tasks) as running:
                await running.seconds(photographs(CORES, (640, 480)), tasks)
                for number in range(rounds):
                    turn = [data + bytes([number]) for data in pictures]  # bytes of its own
                    served += await running.seconds(turn, tasks)
                    bare += await asyncio.to_thread(bare_seconds, pool, tasks, turn)
        total = len(pictures) * rounds
        name = "all six" if len(tasks) > 1 else tasks[0]
        table.add_row(
            name, str(total), f"{total / served:.1f}", f"{total / bare:.1f}", f"{bare / served:.2f}"
        )
    console.print(table)


# -- a network


def network() -> bytes:
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


def install(folder: Path) -> None:
    """Put the network on a shelf and have it answer `embedding`."""
    shelf, body = Shelf(folder), network()
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


async def a_network(count: int, rounds: int) -> None:
    """Print pictures a second of a network: in the service, in a loop, in every worker."""
    context = multiprocessing.get_context("spawn")
    pictures = photographs(count)
    ways: dict[str, dict[str, Any]] = {
        f"service, {CORES} workers, batches of up to 8": {"batch_max": 8},
        f"service, {CORES} workers, one at a time": {"batch_max": 1},
        f"service, {4 * CORES} workers, batches of up to 8": {"workers": 4 * CORES, "batch_max": 8},
        f"service, {4 * CORES} workers, one at a time": {"workers": 4 * CORES, "batch_max": 1},
    }
    totals: dict[str, float] = {}
    batches: dict[str, float | None] = {}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "models"
        install(folder)
        loops = {
            f"bare loop, one process, {CORES} threads": (1, CORES),
            f"bare loops, {CORES} processes, a session of one thread in each": (CORES, 1),
        }
        for _ in range(rounds):
            for name, (processes, threads) in loops.items():
                arguments = (str(folder), threads)
                with ProcessPoolExecutor(processes, context, _open, arguments) as pool:
                    list(pool.map(_encode, pictures[:CORES]))
                    started = time.perf_counter()
                    await asyncio.to_thread(lambda p=pool: list(p.map(_encode, pictures)))
                    totals[name] = totals.get(name, 0) + time.perf_counter() - started
                    memory[name] = sum(_rss(process) for process in pool._processes or ())
            for name, settings in ways.items():
                async with service(("embedding",), models_dir=str(folder), **settings) as running:
                    await running.seconds(photographs(CORES, (640, 480)), ("embedding",))
                    took = await running.seconds(pictures, ("embedding",))
                    totals[name] = totals.get(name, 0) + took
                    rows = (await running.http.get("/inference/models")).json()["models"]
                    (row,) = [row for row in rows if row["task"] == "embedding"]
                    batches[name] = row["standing"]["batch"]
                    memory[name] = _family_mb(without=os.getpid())
    table = Table(title=f"a network of 0.8 GMAC, {count} pictures, {rounds} rounds")
    for column in ("way", "pictures/s", "mean batch", "MB of its processes"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, total in totals.items():
        batch = batches.get(name)
        table.add_row(
            name, f"{count * rounds / total:.1f}", f"{batch or 1:.1f}", f"{memory[name]:.0f}"
        )
    console.print(table)


def _rss(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 1e6


def _family_mb(without: int | None = None) -> float:
    """Return the memory of this process and all that it started, in MB."""
    own = psutil.Process()
    family = [process for process in (own, *own.children(recursive=True)) if process.pid != without]
    return sum(process.memory_info().rss for process in family) / 1e6


# -- the whole stack


async def upload_to_done(count: int) -> None:
    """Print the time from upload until every task has answered."""
    table = Table(title=f"upload to the answers of all six tasks, {count} pictures each")
    for column in ("at once", "p50 ms", "p99 ms", "pictures/s"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "LOG_LEVEL": "error"}
        async with (
            Stack(data_dir=Path(folder), port=0, nats_port=0, environ=environ) as stack,
            httpx.AsyncClient(base_url=stack.url, timeout=120) as http,
        ):
            for at_once in (1, 8):
                seconds, each = await _uploads(stack, http, at_once, count)
                table.add_row(str(at_once), *percentiles(each), f"{count / seconds:.1f}")
    console.print(table)


async def _uploads(
    stack: Stack, http: httpx.AsyncClient, at_once: int, count: int
) -> tuple[float, list[float]]:
    subscriber = await nats.connect(stack.subscriber_url)
    missing: dict[str, set[str]] = {}
    done: dict[str, asyncio.Event] = {}

    async def hear(message: Msg) -> None:
        _, _, image_id, _, task = message.subject.split(".")
        if image_id in missing:
            missing[image_id].discard(task)
            if not missing[image_id]:
                done[image_id].set()

    await subscriber.subscribe("images.v1.*.inferred.*", cb=hear)
    await subscriber.flush()

    async def ready(data: bytes) -> None:
        image_id = ids.image_id(data)
        missing[image_id], done[image_id] = set(TASKS), asyncio.Event()
        answer = await http.post("/registry/upload", files={"file": ("p.jpg", data)})
        assert answer.status_code == 201, answer.text
        async with asyncio.timeout(120):
            await done[image_id].wait()

    pictures = [data + bytes([at_once]) for data in photographs(count)]
    found = await timed(ready, pictures, at_once)
    await subscriber.close()
    return found


async def memory_over(count: int) -> None:
    """Print the memory of the service's processes while it looks at many small pictures."""
    tasks = ("analysis", "embedding", "objects", "faces")
    table = Table(title=f"memory over {count} pictures of 160 x 120, {', '.join(tasks)}")
    for column in ("pictures", "MB"):
        table.add_column(column, justify="right")
    async with service(tasks) as running:
        step, base, seen = max(1, count // 10), photographs(50, (160, 120)), 0
        while seen < count:
            turn = [base[n % 50] + seen.to_bytes(4) + n.to_bytes(4) for n in range(step)]
            await running.seconds(turn, tasks)
            await running.forget(turn)
            seen += step
            table.add_row(str(seen), f"{_family_mb(without=os.getpid()):.0f}")
    console.print(table)


async def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="pictures of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=10_000, help="pictures for the memory")
    parser.add_argument("--only", default="tasks,network,stack,memory", help="parts, with commas")
    options = parser.parse_args()
    logs.configure("bench", level="error", form="console")
    parts = {
        "tasks": lambda: tasks_against_loops(options.count, options.rounds),
        "network": lambda: a_network(options.count, options.rounds),
        "stack": lambda: upload_to_done(options.count),
        "memory": lambda: memory_over(options.memory),
    }
    wanted = [name for name in parts if name in options.only.split(",")]
    with Progress(console=console, transient=True) as progress:
        shown = progress.add_task("inference", total=len(wanted))
        for name in wanted:
            await parts[name]()
            progress.advance(shown)


if __name__ == "__main__":
    asyncio.run(main())
