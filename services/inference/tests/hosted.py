"""Networks of the tests' own, in this process."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from imagesystem.events import Box
from inference_service.decoding import Picture
from inference_service.networks.host import Host
from inference_service.networks.network import Network, model_of


def say(host: Host, task: str, name: str, picture: Picture) -> Any:
    model = model_of(task, host.shelf.model(name), host)
    assert isinstance(model.run, Network)
    return model.run.answer(picture, {}, host)


def black(width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.zeros((height, width, 3), np.uint8)


def seen(pixels: np.ndarray[Any, np.dtype[np.uint8]], whole: int = 1) -> Picture:
    """Return pixels as a picture that was `whole` times as large before it was reduced."""
    height, width = pixels.shape[:2]
    return Picture(pixels=pixels, width=width * whole, height=height * whole)


def near(box: Box, left: float, top: float, width: float, height: float) -> bool:
    places = (box.x, box.y, box.width, box.height)
    return all(
        math.isclose(place, wanted, abs_tol=1.0)
        for place, wanted in zip(places, (left, top, width, height), strict=True)
    )
