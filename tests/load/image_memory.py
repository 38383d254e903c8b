"""`just bench image_memory`: what the image service takes while it makes large pictures small.

Memory is the service's and its workers' proportional share (PSS: a page that three share counts
a third for each), looked at all the time; beside it what the pixels take that are decoded at a
time, as the service itself reckons.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import psutil
from image_service.parameters import Recipe, Source
from image_service.places import decoded_bytes
from imagesystem.workers import usable_cores
from local_stack.stack import Stack
from PIL import Image
from rich.console import Console
from rich.table import Table

from tests.load.image import Measured, ask, upload
from tests.load.image_servers import Case, Server, ours
from tests.pictures import sample

console = Console(width=120)
SAMPLING_S = 0.02

#: Sources: the format, its sides, what Pillow is told.
SOURCES: dict[str, tuple[tuple[int, int], dict[str, int]]] = {
    "jpg": ((6000, 4000), {"quality": 88}),
    "png": ((4000, 3000), {"compress_level": 1}),
    "webp": ((4000, 3000), {"quality": 80, "method": 0}),
}
MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


class Memory(msgspec.Struct):
    """Peaks in bytes: proportional share and resident, of all processes together."""

    pss: int = 0
    rss: int = 0


def look(server: Server, peaks: Memory) -> Memory:
    """Return what the image service and its workers hold now; keep what is higher than before."""
    now = Memory()
    own = psutil.Process(server.pids[0])
    for process in [own, *own.children(recursive=True)]:
        try:
            held = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        now.pss += held.pss
        now.rss += held.rss
    peaks.pss, peaks.rss = max(peaks.pss, now.pss), max(peaks.rss, now.rss)
    return now


def make_sources(count: int) -> dict[str, bytes]:
    """Return large pictures with grain, by file name."""
    chance, files = np.random.default_rng(3), {}
    photograph = Image.open(io.BytesIO(sample("coffee.png"))).convert("RGB")
    for form, (size, options) in SOURCES.items():
        large = np.asarray(photograph.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
        for number in range(count):
            grain = chance.integers(-6, 7, (*large.shape[:2], 1), np.int16)
            picture = Image.fromarray((large + grain).clip(0, 255).astype(np.uint8))
            file = io.BytesIO()
            picture.save(file, Image.registered_extensions()[f".{form}"], **options)
            files[f"{number:03}.{form}"] = file.getvalue()
    return files


async def measure(server: Server, paths: Sequence[str]) -> Memory:
    """Ask for every path, eight at a time; return the peaks meanwhile."""
    peaks, asking = Memory(), asyncio.create_task(ask(server, paths, 8, Measured()))
    while not asking.done():
        await asyncio.to_thread(look, server, peaks)
        await asyncio.sleep(SAMPLING_S)
    await asking
    return peaks


async def run(count: int, widths: Sequence[int]) -> None:
    """Start everything, make the pictures, print the table."""
    table = Table(title=f"{count} pictures each, 8 at once, MB")
    for column in ("source", "width", "idle", "peak", "peak RSS", "decoded", "more than decoded"):
        table.add_column(column, justify="left" if column == "source" else "right")
    with tempfile.TemporaryDirectory() as folder:
        async with Stack(data_dir=Path(folder) / "data", port=0, nats_port=0) as system:
            files = make_sources(count)
            server = ours(system, await upload(system, files))[0]
            for part in ("inference", "metadata", "augmentation"):
                await system.hold(part)
            for form, (size, _) in SOURCES.items():
                for width in widths:
                    idle = look(server, Memory())
                    case = Case(source=form, format="jpeg", quality=80, side=width)
                    paths = [server.path(name, case) for name in files if name.endswith(form)]
                    peaks = await measure(server, paths)
                    decoded = usable_cores() * decoded_bytes(
                        Source(media_type=MEDIA_TYPES[form], width=size[0], height=size[1]),
                        Recipe(format="jpeg", width=width, height=width),
                    )
                    row = (idle.pss, peaks.pss, peaks.rss, decoded, peaks.pss - decoded)
                    name = f"{form} {size[0]} x {size[1]}"
                    table.add_row(name, str(width), *(f"{each / 1e6:.0f}" for each in row))
    console.print(table)


def main() -> None:
    """Read the arguments and run."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--pictures", type=int, default=12, help="of each format")
    arguments.add_argument("--width", type=int, action="append", help="of the renditions")
    given = arguments.parse_args()
    asyncio.run(run(given.pictures, given.width or [512, 2000]))


if __name__ == "__main__":
    main()
