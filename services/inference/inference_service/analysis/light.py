"""Light: how bright, contrasty, colourful, sharp and busy a picture is."""

from __future__ import annotations

import cv2
import msgspec
import numpy as np

from inference_service.decoding import Pixels

__all__ = ["Light", "measure_light"]


class Light(msgspec.Struct, frozen=True, kw_only=True):
    """See `imagesystem.events.Analysis`, where these fields are described."""

    brightness: float
    contrast: float
    saturation: float
    sharpness: float
    entropy: float


def measure_light(pixels: Pixels, luma: Pixels) -> Light:
    """Measure `pixels` (h, w, 3) sRGB and their Rec. 601 `luma` (h, w), both uint8.

    Mean and spread of luma come from its histogram; sharpness is the variance of the Laplacian
    (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy").
    """
    shares = cv2.calcHist([luma], [0], None, [256], [0, 256])[:, 0].astype(np.float64) / luma.size
    levels = np.arange(256, dtype=np.float64)
    mean = float(shares @ levels)
    spread = float(shares @ (levels - mean) ** 2) ** 0.5
    used = shares[shares > 0]
    saturation = cv2.extractChannel(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV), 1)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))
    return Light(
        brightness=mean / 255,
        contrast=spread / 255,
        saturation=cv2.mean(saturation)[0] / 255,
        sharpness=float(deviation[0, 0]) ** 2,
        entropy=abs(float(used @ np.log2(used))),
    )
