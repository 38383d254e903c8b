"""Does with Albumentations what `tests.load.augment` says by JSON lines, and says how long.

The first line has the folder of the pictures, the cases and the pipeline; each line after it the
number of a case (or "pipeline") and how often to do it.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import albumentations as A  # noqa: N812 - as its documentation writes it
import cv2
import numpy as np


def transform(case: dict) -> A.BasicTransform:
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in case["arguments"].items()
    }
    return getattr(A, case["peer"])(**arguments, p=1)


def main() -> None:
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", "This augmenter is very slow", UserWarning)
    warnings.filterwarnings("error", "Argument", UserWarning)  # one that is not known
    start = json.loads(sys.stdin.readline())
    folder = Path(start["folder"])
    pictures = [np.load(path) for path in sorted(folder.glob("*.npy"))]
    encoded = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    chains = {
        str(number): A.Compose([transform(case)], seed=7)
        for number, case in enumerate(start["cases"])
    }
    pipeline = A.Compose([transform(case) for case in start["pipeline"]], seed=7)

    def one(number: int, name: str) -> None:
        if name != "pipeline":
            chains[name](image=pictures[number % len(pictures)])
            return
        data = np.frombuffer(encoded[number % len(encoded)], np.uint8)
        image = pipeline(image=cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))["image"]
        cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])

    print(json.dumps({"version": A.__version__}), flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        begun = time.process_time()
        for number in range(wanted["times"]):
            one(number, wanted["case"])
        print(json.dumps({"seconds": time.process_time() - begun}), flush=True)


if __name__ == "__main__":
    main()
