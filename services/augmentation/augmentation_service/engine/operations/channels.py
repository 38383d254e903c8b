"""Operations that exchange, drop and shift the channels of colour pictures."""

from __future__ import annotations

import cv2
import numpy as np

from augmentation_service.engine.declarations import PixelOperation
from augmentation_service.engine.images import Image, top_of
from augmentation_service.engine.parameters import Choice, Integer, Number
from augmentation_service.engine.randomness import Stream

__all__ = ["CHANNEL_NAMES", "OPERATIONS", "shifted"]

CHANNEL_NAMES = {"red": 0, "green": 1, "blue": 2}


def _channel(name: str, description: str) -> Choice:
    return Choice(name=name, description=description, choices={one: one for one in CHANNEL_NAMES})


def shifted(image: Image, levels: tuple[float, float, float]) -> Image:
    """Return an RGB image with so many levels of 255 added to each channel, cut off."""
    if image.dtype != np.uint8:
        shift = np.array(levels, np.float32) / np.float32(255)
        return np.asarray(np.clip(image + shift, 0, 1))
    whole = [int(np.floor(abs(level) + 0.5)) * (1 if level > 0 else -1) for level in levels]
    return cv2.add(image, np.array([*whole, 0.0])) if any(whole) else image


def _reordered(image: Image, order: list[int]) -> Image:
    planes = cv2.split(image)
    return cv2.merge([planes[place] for place in order])


def _swapped(image: Image, stream: Stream, *, a: str, b: str) -> Image:
    del stream
    order = [0, 1, 2]
    first, second = CHANNEL_NAMES[a], CHANNEL_NAMES[b]
    order[first], order[second] = second, first
    return _reordered(image, order) if first != second else image


def _shuffled(image: Image, stream: Stream) -> Image:
    order = stream.permutation(3)
    return _reordered(image, order) if order != [0, 1, 2] else image


def _without(image: Image, channels: list[int], fill: float = 0) -> Image:
    # Whole planes and not a scalar operation: it is the same for both types.
    planes = list(cv2.split(image))
    for channel in channels:
        planes[channel] = np.full_like(planes[channel], fill)
    return cv2.merge(planes)


def _muted(image: Image, stream: Stream, *, channel: str) -> Image:
    del stream
    return _without(image, [CHANNEL_NAMES[channel]])


def _dropped(image: Image, stream: Stream, *, count: int, fill: int) -> Image:
    value = fill if image.dtype == np.uint8 else fill / 255
    return _without(image, stream.permutation(3)[:count], min(value, top_of(image)))


def _rgb_shifted(image: Image, stream: Stream, *, red: float, green: float, blue: float) -> Image:
    del stream
    return shifted(image, (red, green, blue))


def _shift(name: str) -> Number:
    return Number(
        name=name,
        description=f"what is added to {name}",
        unit="levels of 255",
        least=-255,
        most=255,
        default=0,
    )


OPERATIONS = (
    PixelOperation(
        name="channel_swap",
        category="colour",
        description="Exchanges two channels.",
        parameters=(_channel("a", "one channel"), _channel("b", "the other")),
        function=_swapped,
        needs_colour=True,
        exact=True,
        neutral={"a": "red", "b": "red"},
        example={"a": "red", "b": "blue"},
    ),
    PixelOperation(
        name="channel_shuffle",
        category="colour",
        description="Puts the channels in random order, which may be the one they had.",
        parameters=(),
        function=_shuffled,
        needs_colour=True,
        exact=True,
    ),
    PixelOperation(
        name="channel_dropout",
        category="colour",
        description="Replaces random channels by one value.",
        parameters=(
            Integer(
                name="count",
                description="how many are replaced",
                unit="channels",
                least=1,
                most=2,
                default=1,
            ),
            Integer(
                name="fill",
                description="the value",
                unit="levels of 255",
                least=0,
                most=255,
                default=0,
            ),
        ),
        function=_dropped,
        needs_colour=True,
        exact=True,
    ),
    PixelOperation(
        name="mute_channel",
        category="colour",
        description="Takes one channel away: makes it 0.",
        parameters=(_channel("channel", "which"),),
        function=_muted,
        needs_colour=True,
        exact=True,
        example={"channel": "green"},
    ),
    PixelOperation(
        name="rgb_shift",
        category="colour",
        description="Adds to each channel, or takes from it.",
        parameters=(_shift("red"), _shift("green"), _shift("blue")),
        function=_rgb_shifted,
        needs_colour=True,
        exact=True,
        neutral={"red": 0.0, "green": 0.0, "blue": 0.0},
        example={"red": 50.0, "green": -20.0, "blue": -40.0},
    ),
)
