"""From a picture to what a network is fed, and from its pixels back to the picture's."""

from __future__ import annotations

from typing import Literal, TypeAlias

import cv2
import msgspec
import numpy as np
from imagesystem.models import InputSpec
from numpy.typing import NDArray

from inference_service.decoding import Picture, Pixels

__all__ = ["USUAL", "Feed", "Placed", "Tensor", "feed_of", "prepare", "side_of"]

Tensor: TypeAlias = NDArray[np.float32]

#: ImageNet's mean and deviation of RGB, 0-1, which most classifiers and encoders were fed with.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: CLIP's own.
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """How a network is fed; see `InputSpec`. `size`: height, width."""

    size: tuple[int, int]
    fit: Literal["letterbox", "letterbox-corner", "stretch", "crop"]
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pad: int = 114
    shorten: float = 256 / 224


#: How each kind of network is usually fed: as in its makers' own programs.
USUAL: dict[str, Feed] = {
    "yolox": Feed(size=(640, 640), fit="letterbox-corner", channels="bgr", scale=1.0),
    "yolov8": Feed(size=(640, 640), fit="letterbox"),
    "rtdetr": Feed(size=(640, 640), fit="stretch"),
    "dfine": Feed(size=(640, 640), fit="letterbox", pad=0),
    "yunet": Feed(size=(640, 640), fit="letterbox-corner", channels="bgr", scale=1.0, pad=0),
    "classifier": Feed(size=(224, 224), fit="crop", mean=IMAGENET[0], std=IMAGENET[1]),
    "encoder": Feed(size=(224, 224), fit="crop", mean=IMAGENET[0], std=IMAGENET[1]),
    "ppocr": Feed(size=(48, 320), fit="stretch", channels="bgr", scale=1 / 127.5, mean=(1, 1, 1)),
    "clip": Feed(size=(224, 224), fit="crop", mean=CLIP[0], std=CLIP[1], shorten=1.0),
}
#: The longest side that is wanted of a picture whose middle is cut out, or which is stretched, as
#: a multiple of the network's: the shorter side of most pictures is then no smaller than that.
LONGER = {"crop": 3, "stretch": 2}


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """What a network is fed, float32 (1, 3, h, w), and where the picture lies in it.

    A place x of the whole picture lies at `x * across + left`, y at `y * down + top`.
    """

    tensor: Tensor
    across: float
    down: float
    left: float
    top: float

    def back(self, corners: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return places, float32 (..., 2n) as x, y, x, y, …, in pixels of the whole picture."""
        pairs = corners.shape[-1] // 2
        shift = np.tile(np.array([self.left, self.top], np.float32), pairs)
        stretch = np.tile(np.array([self.across, self.down], np.float32), pairs)
        return np.asarray((corners - shift) / stretch, np.float32)


def feed_of(kind: str, told: InputSpec, fixed: tuple[int | None, int | None]) -> Feed:
    """Return how a network is fed: as its kind, but as it is `told`, at the size it has `fixed`."""
    usual = USUAL[kind]
    changes = {
        name: value for name, value in msgspec.structs.asdict(told).items() if value is not None
    }
    height, width = told.size or usual.size
    return msgspec.structs.replace(
        usual, **(changes | {"size": (fixed[0] or height, fixed[1] or width)})
    )


def side_of(feed: Feed) -> int:
    """Return the longest side that the picture should have before it is prepared."""
    return max(feed.size) * LONGER.get(feed.fit, 1)


def prepare(picture: Picture, feed: Feed) -> Placed:
    """Return a picture as a network is fed with it."""
    pixels, across, down, left, top = _FITS[feed.fit](picture.pixels, feed)
    ordered = pixels[..., ::-1] if feed.channels == "bgr" else pixels
    mean, std = (np.array(part, np.float32)[:, None, None] for part in (feed.mean, feed.std))
    levels = np.ascontiguousarray(ordered.transpose(2, 0, 1), np.float32)
    np.multiply(levels, feed.scale / std, out=levels)
    np.subtract(levels, mean / std, out=levels)
    reduced = picture.pixels.shape[1] / picture.width, picture.pixels.shape[0] / picture.height
    return Placed(
        tensor=levels[np.newaxis],
        across=across * reduced[0],
        down=down * reduced[1],
        left=left,
        top=top,
    )


_Fitted: TypeAlias = tuple[Pixels, float, float, float, float]


def _letterbox(pixels: Pixels, feed: Feed, *, centred: bool) -> _Fitted:
    (height, width), (high, wide) = pixels.shape[:2], feed.size
    factor = min(high / height, wide / width)
    inner = max(1, round(width * factor)), max(1, round(height * factor))
    left, top = ((wide - inner[0]) // 2, (high - inner[1]) // 2) if centred else (0, 0)
    canvas = np.full((high, wide, 3), feed.pad, np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = _resized(pixels, inner)
    return canvas, inner[0] / width, inner[1] / height, float(left), float(top)


def _stretch(pixels: Pixels, feed: Feed) -> _Fitted:
    (height, width), (high, wide) = pixels.shape[:2], feed.size
    return _resized(pixels, (wide, high)), wide / width, high / height, 0.0, 0.0


def _crop(pixels: Pixels, feed: Feed) -> _Fitted:
    (height, width), (high, wide) = pixels.shape[:2], feed.size
    factor = max(high * feed.shorten / height, wide * feed.shorten / width)
    whole = max(wide, round(width * factor)), max(high, round(height * factor))
    left, top = (whole[0] - wide) // 2, (whole[1] - high) // 2
    middle = _resized(pixels, whole)[top : top + high, left : left + wide]
    return middle, whole[0] / width, whole[1] / height, -float(left), -float(top)


_FITS = {
    "letterbox": lambda pixels, feed: _letterbox(pixels, feed, centred=True),
    "letterbox-corner": lambda pixels, feed: _letterbox(pixels, feed, centred=False),
    "stretch": _stretch,
    "crop": _crop,
}


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    smaller = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)
