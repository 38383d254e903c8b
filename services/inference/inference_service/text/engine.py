"""PP-OCR's two networks: where lines of text are, and what a line says.

The networks and the rules around them (how a probability map becomes boxes, how characters are
read off a sequence) come in the wheel of `rapidocr`; nothing is downloaded. Either network may be
another one of the family instead. Papers: DB (Liao et al. 2020) for detection, SVTR with CTC (Du et
al. 2022) for recognition.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files

import cv2
import msgspec
import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from rapidocr.ch_ppocr_det.utils import DBPostProcess
from rapidocr.ch_ppocr_rec.utils import CTCLabelDecode

from inference_service.decoding import Pixels
from inference_service.text.direction import logical

__all__ = ["Ask", "Engine", "Found", "Reading", "engine", "shipped_detector"]

#: What a network says of what it is fed, float32 (1, 3, h, w) as `_normalised` makes it.
Ask = Callable[[NDArray[np.float32]], NDArray[np.float32]]

DETECTOR, RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"

#: The networks want sides that are multiples of this.
STEP = 32
#: Height of a line as the recogniser sees it, and the widths it is given at least and at most.
LINE_HEIGHT, NARROWEST, WIDEST = 48, 320, 3200


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Where a line seems to be, and how sure that is (0-1).

    `corners`: float32 (4, 2), pixels, clockwise from the top left one of the box, whatever the
    direction of reading.
    """

    corners: NDArray[np.float32]
    confidence: float


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a line says, and the mean probability of its characters (0-1)."""

    text: str
    confidence: float


class Engine:
    """Both networks. `detect` says (1, 1, h, w), how sure it is of text at each place; `recognise`
    says (1, steps, 1 + characters + 1): nothing, one of `characters`, or a space.
    """

    def __init__(
        self,
        detect: Ask,
        recognise: Ask,
        characters: Sequence[str],
        line_height: int = LINE_HEIGHT,
    ) -> None:
        self._detect = detect
        self._recognise = recognise
        self._line_height = line_height
        self._boxes = DBPostProcess(
            thresh=0.3,
            box_thresh=0.5,
            max_candidates=1000,
            unclip_ratio=1.6,
            use_dilation=True,
        )
        self._characters = CTCLabelDecode(character=list(characters))

    def find(self, pixels: Pixels) -> list[Found]:
        """Return where lines of text seem to be in a picture, uint8 (h, w, 3), sRGB."""
        height, width = pixels.shape[:2]
        size = tuple(max(STEP, round(side / STEP) * STEP) for side in (width, height))
        seen = cv2.resize(pixels, size) if size != (width, height) else pixels
        told = self._detect(_normalised(np.asarray(seen, np.uint8)))
        boxes, sure = self._boxes(told, (height, width))
        return [
            Found(corners=np.asarray(box, np.float32), confidence=float(score))
            for box, score in zip(boxes, sure, strict=True)
        ]

    def read(self, line: Pixels) -> Reading:
        """Return what an upright line says; `line`: uint8 (h, w, 3), sRGB."""
        (height, width), high = line.shape[:2], self._line_height
        wide = min(WIDEST, max(1, math.ceil(high * width / height)))
        fitted = np.asarray(cv2.resize(line, (wide, high)), np.uint8)
        given = np.zeros((1, 3, high, max(wide, NARROWEST)), np.float32)
        given[..., :wide] = _normalised(fitted)
        told = self._recognise(given)
        ((text, confidence),), _ = self._characters(told)
        return Reading(text=logical(text.strip()), confidence=float(confidence))


@functools.cache
def engine() -> Engine:
    """Return the networks of the wheel, loaded once in each worker process."""
    recogniser = _session(RECOGNISER)
    characters = recogniser.get_modelmeta().custom_metadata_map["character"]
    return Engine(shipped_detector(), _asked(recogniser), characters.splitlines())


@functools.cache
def shipped_detector() -> Ask:
    """Return the wheel's detector, loaded once in each worker process; it knows any script."""
    return _asked(_session(DETECTOR))


def _asked(session: onnxruntime.InferenceSession) -> Ask:
    (port,) = session.get_inputs()
    return lambda given: np.asarray(session.run(None, {port.name: given})[0], np.float32)


def _session(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Pictures come in all sizes: an arena would keep the peak of each.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    with as_file(files("rapidocr").joinpath("models", name)) as path:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _normalised(pixels: Pixels) -> NDArray[np.float32]:
    """Return it as the networks want it: float32 (1, 3, h, w), BGR, -1 to 1."""
    channels = pixels[..., ::-1].transpose(2, 0, 1)[np.newaxis]
    return np.ascontiguousarray(channels, np.float32) / 127.5 - 1.0
