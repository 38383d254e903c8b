"""What every operation makes of a small picture, kept to be compared with.

`python services/augmentation/tests/engine/references.py` writes what is missing: delete the files
of an operation whose version you have raised. Of exact operations digests are kept, of the others
pictures, too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from augmentation_service.engine import REGISTRY, Source, apply, parse, pixel_digest

FOLDER = Path(__file__).parent / "references"
#: Channels and the type of the pictures that operations are tried on.
FORMS = {"grey": 1, "colour": 3, "alpha": 4}


def picture(channels: int, height: int = 40, width: int = 60) -> np.ndarray:
    """A picture made by integer arithmetic alone: shading, a bright disc, a dark bar."""
    y, x, c = np.mgrid[:height, :width, :channels]
    image = (x * 3 + y * (2 + c) + c * 40) % 200 + 20
    image[(x - 20) ** 2 + (y - 15) ** 2 < 90] += 30
    image[(x > 40) & (x < 46) & (y > 5)] //= 3
    if channels == 4:
        image[..., 3] = np.clip(x[..., 0] * 8, 0, 255)
    return image.astype(np.uint8)


def made(name: str, form: str) -> np.ndarray:
    """Return what an operation makes of the picture, with its example parameters."""
    channels = FORMS[form]
    others = [
        Source(image=picture(channels, 30 + 4 * n, 44 + 6 * n)[::-1], source=f"other {n}")
        for n in range(REGISTRY[name].pictures - 1)
    ]
    recipe = parse([{"operation": name, "parameters": dict(REGISTRY[name].example)}])
    image = picture(channels)
    return apply(recipe, image, seed=2**53 - 1, source="reference", variant=7, others=others).image


def kept(name: str) -> dict[str, object]:
    """Return the record of an operation: its version and digests."""
    record: dict[str, object] = json.loads((FOLDER / f"{name}.json").read_text())
    return record


def kept_picture(name: str, form: str) -> np.ndarray:
    """Return the picture kept of an operation that is not exact."""
    image = cv2.imread(str(FOLDER / f"{name}.{form}.png"), cv2.IMREAD_UNCHANGED)
    assert image is not None, f"{name}.{form}.png"
    return image if image.ndim == 3 else image[..., None]


def write(name: str) -> None:
    """Keep what an operation makes now. (Pictures as they are: channels are not swapped.)"""
    FOLDER.mkdir(exist_ok=True)
    results = {form: made(name, form) for form in FORMS}
    if not REGISTRY[name].exact:
        for form, image in results.items():
            cv2.imwrite(str(FOLDER / f"{name}.{form}.png"), image)
    record = {
        "version": REGISTRY[name].version,
        "pixels": {form: pixel_digest(image) for form, image in results.items()},
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    for name in sorted(REGISTRY):
        if not (FOLDER / f"{name}.json").exists():
            write(name)
            sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
