"""`just bench augment`: operations per second against Albumentations, in one run.

Both run in a process and an environment of their own, one thread each, on the same pictures of
512 x 512; each case is asked of both in turn, round after round. What is timed is a whole call:
drawing parameters, the operation, and here the receipt; in seconds of CPU, so that what else the
machine does counts little.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from augmentation_service.engine import Source, apply, parse
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.load.augment_cases import CASES, PIPELINE, Case
from tests.pictures import sample

console = Console(width=120)
PEERS = Path(__file__).parent / "augment_peers"
SIDE = 512
SAMPLES = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
#: About so long is one round of one side.
ROUND_S = 0.04
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Measured(msgspec.Struct):
    """Seconds of CPU per call of both sides, round by round."""

    ours: list[float] = []
    theirs: list[float] = []

    @property
    def ratio(self) -> float:
        """How many times as fast we are: the median over rounds."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return statistics.median(theirs / ours for ours, theirs in pairs)


class Peer:
    """Albumentations in a process of its own."""

    def __init__(self, folder: Path, cases: list[Case]) -> None:
        command = ["uv", "run", "--quiet", "--project", str(PEERS), "python"]
        self._process = subprocess.Popen(
            [*command, str(PEERS / "albumentations_rounds.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_THREAD, "VIRTUAL_ENV": "", "NO_ALBUMENTATIONS_UPDATE": "1"},
        )
        start = {
            "folder": str(folder),
            "cases": msgspec.to_builtins(cases),
            "pipeline": msgspec.to_builtins(PIPELINE),
        }
        self.version = self._ask(start)["version"]

    def _ask(self, what: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"Albumentations ended with {self._process.wait()}; see above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def seconds(self, case: str, times: int) -> float:
        """Return how long that many calls take."""
        found: float = self._ask({"case": case, "times": times})["seconds"]
        return found

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def make_pictures(folder: Path) -> list[np.ndarray]:
    """Write the pictures, as arrays and as JPEG; return the arrays."""
    pictures = []
    for name in SAMPLES:
        picture = cv2.imdecode(np.frombuffer(sample(name), np.uint8), cv2.IMREAD_COLOR_RGB)
        height, width = picture.shape[:2]
        side = min(height, width)
        square = picture[(height - side) // 2 :, (width - side) // 2 :][:side, :side]
        square = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        pictures.append(square)
        np.save(folder / f"{name}.npy", square)
        quality = [cv2.IMWRITE_JPEG_QUALITY, 92]
        swapped = cv2.cvtColor(square, cv2.COLOR_RGB2BGR)
        (folder / f"{name}.jpg").write_bytes(cv2.imencode(".jpg", swapped, quality)[1].tobytes())
    return pictures


def our_call(case: Case, pictures: list[np.ndarray]) -> Callable[[int], object]:
    """Return our side of a case: `call(number)` does it once."""
    recipe = parse([case.step])
    others = [Source(image=picture, source=str(n)) for n, picture in enumerate(pictures)]

    def call(number: int) -> object:
        image = pictures[number % len(pictures)]
        return apply(recipe, image, seed=7, source="bench", variant=number, others=others)

    return call


def our_pipeline(folder: Path) -> Callable[[int], object]:
    """Return our side of the pipeline: decode, five operations, encode."""
    recipe = parse([case.step for case in PIPELINE])
    encoded = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]

    def call(number: int) -> object:
        data = np.frombuffer(encoded[number % len(encoded)], np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        made = apply(recipe, image, seed=7, source="bench", variant=number).image
        swapped = cv2.cvtColor(made, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, 90])

    return call


def seconds(call: Callable[[int], object], times: int) -> float:
    """Return how long that many calls take."""
    begun = time.process_time()
    for number in range(times):
        call(number)
    return time.process_time() - begun


def measure(name: str, call: Callable[[int], object], peer: Peer, rounds: int) -> Measured:
    """Do both sides of a case in turn."""
    measured = Measured()
    mine, yours = (
        max(1, round(ROUND_S / max(once, 1e-6)))
        for once in (
            min(seconds(call, 1) for _ in range(3)),
            min(peer.seconds(name, 1) for _ in range(3)),
        )
    )
    for _ in range(rounds):
        measured.ours.append(seconds(call, mine) / mine)
        measured.theirs.append(peer.seconds(name, yours) / yours)
    return measured


def row(name: str, peer: str, measured: Measured) -> tuple[str, ...]:
    """Return a row of the table."""
    rates = (1 / statistics.median(times) for times in (measured.ours, measured.theirs))
    ours, theirs = (f"{rate:,.0f}".replace(",", " ") for rate in rates)
    return name, peer, ours, theirs, f"{measured.ratio:.2f}×"


def main() -> int:
    """Measure all cases, or those that are named."""
    parser = argparse.ArgumentParser(prog="just bench augment", description=__doc__)
    parser.add_argument("only", nargs="*", help="operations to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--markdown", action="store_true", help="print a table for the docs")
    options = parser.parse_args()
    if not ONE_THREAD.items() <= os.environ.items():
        # NumPy's matrix products read it when they are loaded, which they are.
        again = [sys.executable, "-m", "tests.load.augment", *sys.argv[1:]]
        return subprocess.run(again, env={**os.environ, **ONE_THREAD}, check=False).returncode
    cv2.setNumThreads(1)
    cases = [case for case in CASES if not options.only or case.operation in options.only]
    rows, ratios = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pictures = make_pictures(folder)
        peer = Peer(folder, cases)
        try:
            for number, case in track(list(enumerate(cases)), console=console):
                measured = measure(str(number), our_call(case, pictures), peer, options.rounds)
                ratios.append(measured.ratio)
                rows.append(row(case.operation, case.peer, measured))
            whole = measure("pipeline", our_pipeline(folder), peer, options.rounds)
        finally:
            peer.close()
    rows.append(row("decode, five, encode", "the same", whole))
    report(rows, peer.version, markdown=options.markdown)
    slow = [f"{one[0]} {one[4]}" for one, ratio in zip(rows, ratios, strict=False) if ratio < 0.7]
    console.print(
        f"median of {len(ratios)} operations {statistics.median(ratios):.2f}× (goal 1.0), "
        f"pipeline {whole.ratio:.2f}× (goal 1.0), under 0.7×: {', '.join(slow) or 'none'}"
    )
    return 0


def report(rows: list[tuple[str, ...]], version: str, *, markdown: bool) -> None:
    """Print the table."""
    heads = ("operation", f"Albumentations {version}", "ours/s", "theirs/s", "ratio")
    if markdown:
        lines = [heads, ("---",) * 5, *rows]
        sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines))
        return
    table = Table(*heads)
    for line in rows:
        table.add_row(*line)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
