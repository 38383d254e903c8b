"""Draw docs/explanation/augmentation.jpg: what every augmentation operation makes.

uv run python docs/augmentation_sheet.py [file]
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from augmentation_service.engine import REGISTRY, Box, Labels, Source, apply, parse
from contact_sheet import SAMPLES, TILE, write
from PIL import Image, ImageDraw

SHEET = Path(__file__).resolve().parent / "explanation" / "augmentation.jpg"
SIDE = TILE - 6
#: Categories whose operations move boxes or hide them: it is shown where they are.
LABELLED = ("geometry", "occlusion", "mixing")
FACE = Box(x_min=87, y_min=29, x_max=139, y_max=92)
OTHERS = ("coffee.png", "rocket.jpg", "chelsea.png")


def loaded(name: str) -> np.ndarray:
    """Return a sample, no side longer than 256: what changes few pixels can be seen."""
    with Image.open(SAMPLES / name) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((256, 256))
    return np.asarray(picture)


def tile(name: str) -> Image.Image:
    """Return what an operation makes of the sample, with its example parameters."""
    operation = REGISTRY[name]
    recipe = parse([{"operation": name, "parameters": dict(operation.example)}])
    others = [Source(image=loaded(other), source=other) for other in OTHERS]
    labels = Labels(boxes=[FACE]) if operation.category in LABELLED else None
    made = apply(
        recipe, loaded("astronaut.png"), seed=3, source="sheet", labels=labels, others=others
    )
    factor = SIDE / max(made.image.shape[:2])
    size = [max(1, round(side * factor)) for side in made.image.shape[1::-1]]
    shown = Image.fromarray(cv2.resize(made.image, size, interpolation=cv2.INTER_AREA))
    for box in made.labels.boxes if made.labels is not None else ():
        corners = [side * factor for side in (box.x_min, box.y_min, box.x_max, box.y_max)]
        ImageDraw.Draw(shown).rectangle(corners, outline="#ffd400")
    return shown.convert("RGBA")


def main() -> int:
    """Draw all tiles and write the sheet."""
    tiles = [(tile(name), name) for name in REGISTRY]
    write(tiles, Path(sys.argv[1]) if len(sys.argv) > 1 else SHEET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
