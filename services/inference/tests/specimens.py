"""Pictures and models for the tests of this service."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from imagesystem.events import Embedding, Faces, Objects, Text
from inference_service.decoding import Picture
from inference_service.models import BUILT_IN, Model, Models, Result
from PIL import Image

DATA = Path(__file__).parents[3] / "tests" / "data"


def png(colour: str = "teal", size: tuple[int, int] = (40, 30)) -> bytes:
    """Return a picture of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


def sample(name: str) -> Picture:
    """Return a sample photograph, decoded."""
    return picture(Image.open(DATA / name))


def picture(image: Image.Image) -> Picture:
    """Return an image as tasks get it."""
    return Picture(pixels=np.asarray(image.convert("RGB")), width=image.width, height=image.height)


def quick_models() -> Models:
    """Return models that find nothing in no time; analysis and labels are the real ones."""
    nothing: dict[str, Callable[[Picture], Result]] = {
        "embedding": lambda _: Embedding(dimensions=1, vector=b"\0\0\x80?"),
        "objects": lambda p: Objects(width=p.width, height=p.height, objects=[]),
        "faces": lambda p: Faces(width=p.width, height=p.height, faces=[]),
        "text": lambda p: Text(width=p.width, height=p.height, text="", lines=[], languages=["en"]),
    }
    models = Models({"analysis": BUILT_IN["analysis"], "labels": BUILT_IN["labels"]})
    for task, find in nothing.items():
        models.use(model_of(task, find, slow=BUILT_IN[task].slow))
    return models


def model_of(
    task: str, find: Callable[[Picture], Result], *, side: int = 64, slow: bool = False
) -> Model:
    """Return a model that answers `task` by `find`."""

    def run(picture: Picture, _: Mapping[str, Result]) -> Result:
        return find(picture)

    return Model(task=task, name=f"quick-{task}", version="1", side=side, run=run, slow=slow)
