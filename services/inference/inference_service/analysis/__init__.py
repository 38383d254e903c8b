"""What can be measured in any picture: one module per family of measurements."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from imagesystem.events import Analysis

from inference_service.analysis.colours import dominant_colours, histogram
from inference_service.analysis.composition import measure_composition
from inference_service.analysis.hashes import blurhash, phash
from inference_service.analysis.kind import classify
from inference_service.analysis.light import measure_light
from inference_service.analysis.texture import find_edges, measure_texture
from inference_service.decoding import Picture

__all__ = ["SCALE", "analyse_picture"]

#: The analysis scale: pictures are measured with their longest side at most so many pixels.
SCALE = 512
#: Sides that differ by less than this share make a square.
SQUARE_WITHIN = 0.02


def analyse_picture(picture: Picture) -> Analysis:
    """Measure a picture; deterministic. Its pixels should be at the analysis scale."""
    pixels = picture.pixels
    luma = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    edges = find_edges(luma)
    colours, shares = histogram(pixels)
    light = measure_light(pixels, luma)
    return Analysis(
        width=picture.width,
        height=picture.height,
        orientation=_orientation(picture.width, picture.height),
        colours=dominant_colours(colours, shares),
        brightness=round(light.brightness, 4),
        contrast=round(light.contrast, 4),
        saturation=round(light.saturation, 4),
        sharpness=round(light.sharpness, 2),
        entropy=round(light.entropy, 4),
        texture=measure_texture(luma, edges),
        composition=measure_composition(luma),
        kind=classify(pixels, luma, edges, shares),
        phash=phash(luma),
        blurhash=blurhash(pixels),
    )


def _orientation(width: int, height: int) -> Literal["landscape", "portrait", "square"]:
    if abs(width - height) <= SQUARE_WITHIN * max(width, height):
        return "square"
    return "landscape" if width > height else "portrait"
