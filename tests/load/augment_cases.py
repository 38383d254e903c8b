"""What `just bench augment` compares: our step, and the class of Albumentations that does the same.

Strengths are the same, fixed on both sides; where the two define an operation differently, the
parameters make about the same picture.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["CASES", "PIPELINE", "Case"]


class Case(msgspec.Struct, frozen=True):
    """One operation: its name and parameters here, class and arguments there."""

    operation: str
    parameters: dict[str, Any]
    peer: str
    arguments: dict[str, Any] = {}

    @property
    def step(self) -> dict[str, Any]:
        """Our step of a recipe."""
        return {"operation": self.operation, "parameters": self.parameters}


def _same(value: float) -> tuple[float, float]:
    return value, value


_SIZE = {"width": 256, "height": 256}

CASES: tuple[Case, ...] = (
    Case("flip", {"axis": "x"}, "HorizontalFlip"),
    Case("transpose", {}, "Transpose"),
    Case("d4", {"element": "quarter"}, "D4"),
    Case("rotate", {"angle": 30}, "Rotate", {"limit": _same(30)}),
    Case("shift", {"x": 10, "y": 5}, "Affine", {"translate_percent": {"x": 0.1, "y": 0.05}}),
    Case("scale", {"x": 0.8, "y": 0.8}, "Affine", {"scale": _same(0.8)}),
    Case("shear", {"shear_x": 15}, "Affine", {"shear": {"x": _same(15), "y": _same(0)}}),
    Case("affine", {"angle": 12, "scale": 0.9, "shear_x": 8, "x": 5}, "Affine",
         {"rotate": _same(12), "scale": _same(0.9), "shear": {"x": _same(8), "y": _same(0)},
          "translate_percent": {"x": 0.05, "y": 0}}),
    Case("perspective", {"strength": 10}, "Perspective", {"scale": _same(0.1)}),
    Case("crop", {**_SIZE, "x": {"min": 0, "max": 100}, "y": {"min": 0, "max": 100}},
         "RandomCrop", _SIZE),
    Case("centre_crop", _SIZE, "CenterCrop", _SIZE),
    Case("random_resized_crop", _SIZE, "RandomResizedCrop", {"size": (256, 256)}),
    Case("pad", {"width": 576, "height": 576}, "PadIfNeeded",
         {"min_width": 576, "min_height": 576}),
    Case("resize", _SIZE, "Resize", _SIZE),
    Case("elastic", {"strength": 8, "smoothness": 50}, "ElasticTransform",
         {"alpha": 300, "sigma": 50}),
    Case("grid_distortion", {"strength": 30}, "GridDistortion", {"distort_limit": _same(0.3)}),
    Case("optical_distortion", {"strength": 5}, "OpticalDistortion",
         {"distort_limit": _same(0.05)}),
    Case("piecewise_affine", {"strength": 15}, "PiecewiseAffine", {"scale": _same(0.04)}),
    Case("thin_plate_spline", {"strength": 20, "points": 4}, "ThinPlateSpline",
         {"scale_range": _same(0.2)}),
    Case("brightness", {"amount": 20}, "RandomBrightnessContrast",
         {"brightness_limit": _same(0.2), "contrast_limit": _same(0)}),
    Case("brightness_contrast", {"brightness": 10, "contrast": 30}, "RandomBrightnessContrast",
         {"brightness_limit": _same(0.1), "contrast_limit": _same(0.3)}),
    Case("gamma", {"gamma": 1.2}, "RandomGamma", {"gamma_limit": _same(120)}),
    Case("tone_curve", {"shadows": 10, "highlights": -10}, "RandomToneCurve"),
    Case("hue", {"angle": 30}, "HueSaturationValue",
         {"hue_shift_limit": _same(15), "sat_shift_limit": _same(0), "val_shift_limit": _same(0)}),
    Case("saturation", {"factor": 1.5}, "HueSaturationValue",
         {"hue_shift_limit": _same(0), "sat_shift_limit": _same(30),
          "val_shift_limit": _same(0)}),
    Case("colour_jitter", {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 36},
         "ColorJitter", {"hue": (-0.1, 0.1)}),
    Case("temperature", {"kelvin": {"min": 3000, "max": 15000}}, "PlanckianJitter"),
    Case("equalize", {}, "Equalize"),
    Case("clahe", {"clip_limit": 4}, "CLAHE", {"clip_limit": _same(4)}),
    Case("autocontrast", {}, "AutoContrast"),
    Case("posterize", {"bits": 4}, "Posterize", {"num_bits": (4, 4)}),
    Case("solarize", {"threshold": 128}, "Solarize"),
    Case("invert", {}, "InvertImg"),
    Case("grayscale", {}, "ToGray"),
    Case("sepia", {}, "ToSepia"),
    Case("channel_shuffle", {}, "ChannelShuffle"),
    Case("channel_dropout", {}, "ChannelDropout"),
    Case("rgb_shift", {"red": 20, "green": -10, "blue": 15}, "RGBShift",
         {"r_shift_limit": _same(20), "g_shift_limit": _same(-10), "b_shift_limit": _same(15)}),
    Case("pca_lighting", {"strength": 0.1}, "FancyPCA"),
    Case("gaussian_noise", {"std": 25.5}, "GaussNoise", {"std_range": _same(0.1)}),
    Case("salt_and_pepper_noise", {"amount": 5}, "SaltAndPepper",
         {"amount": _same(0.05), "salt_vs_pepper": _same(0.5)}),
    Case("shot_noise", {"photons": 20}, "ShotNoise", {"scale_range": _same(0.05)}),
    Case("speckle_noise", {"std": 10}, "MultiplicativeNoise",
         {"multiplier": (0.8, 1.2), "per_channel": True, "elementwise": True}),
    Case("iso_noise", {"luma": 12, "chroma": 8}, "ISONoise",
         {"color_shift": _same(0.05), "intensity": _same(0.5)}),
    Case("gaussian_blur", {"sigma": 2}, "GaussianBlur",
         {"blur_limit": (13, 13), "sigma_limit": _same(2)}),
    Case("uniform_blur", {"size": 7}, "Blur", {"blur_limit": (7, 7)}),
    Case("median_blur", {"size": 3}, "MedianBlur", {"blur_limit": (3, 3)}),
    Case("median_blur", {"size": 5}, "MedianBlur", {"blur_limit": (5, 5)}),
    Case("median_blur", {"size": 7}, "MedianBlur", {"blur_limit": (7, 7)}),
    Case("motion_blur", {"length": 7, "angle": {"min": -180, "max": 180}}, "MotionBlur",
         {"blur_limit": (7, 7), "allow_shifted": False}),
    Case("defocus", {"radius": 6}, "Defocus", {"radius": (6, 6)}),
    Case("zoom_blur", {"factor": 1.2}, "ZoomBlur",
         {"max_factor": _same(1.2), "step_factor": _same(0.02)}),
    Case("glass_blur", {"distance": 4, "sigma": 0.7, "iterations": 2}, "GlassBlur"),
    Case("min_filter", {"size": 3}, "Morphological", {"scale": (3, 3), "operation": "erosion"}),
    Case("max_filter", {"size": 3}, "Morphological", {"scale": (3, 3)}),
    Case("sharpen", {"amount": 50}, "Sharpen", {"alpha": _same(0.5), "lightness": _same(1)}),
    Case("unsharp_mask", {"sigma": 1, "amount": 50, "threshold": 10}, "UnsharpMask",
         {"blur_limit": (7, 7), "sigma_limit": _same(1), "alpha": _same(0.5)}),
    Case("emboss", {"strength": 50}, "Emboss", {"alpha": _same(0.5), "strength": _same(0.5)}),
    Case("ringing", {"size": 15, "cutoff": 40}, "RingingOvershoot",
         {"blur_limit": (15, 15), "cutoff": _same(1.2566)}),
    Case("coarse_dropout", {"count": 8}, "CoarseDropout",
         {"num_holes_range": (8, 8), "hole_height_range": _same(0.1),
          "hole_width_range": _same(0.1)}),
    Case("grid_dropout", {"cells": 8}, "GridDropout", {"holes_number_xy": (8, 8)}),
    Case("random_erasing", {"area": 15, "ratio": {"min": 0.3, "max": 3.3}, "content": "noise"},
         "Erasing", {"scale": _same(0.15), "fill": "random"}),
    Case("xy_masking", {"columns": 2, "rows": 2, "width": 8}, "XYMasking",
         {"num_masks_x": 2, "num_masks_y": 2, "mask_x_length": 40, "mask_y_length": 40}),
    Case("fog", {"amount": 60}, "RandomFog", {"fog_coef_range": _same(0.6)}),
    Case("rain", {"amount": 30}, "RandomRain"),
    Case("snow", {"amount": 40}, "RandomSnow", {"method": "texture"}),
    Case("shadow", {"count": 2}, "RandomShadow", {"num_shadows_limit": (2, 2)}),
    Case("sun_flare", {}, "RandomSunFlare"),
    Case("spatter", {"amount": 25}, "Spatter"),
    Case("jpeg_compression", {"quality": 50}, "ImageCompression", {"quality_range": (50, 50)}),
    Case("webp_compression", {"quality": 50}, "ImageCompression",
         {"quality_range": (50, 50), "compression_type": "webp"}),
    # 3: INTER_AREA, as ours; its default leaves pixels out.
    Case("downscale", {"factor": 4, "interpolation": "nearest"}, "Downscale",
         {"interpolation_pair": {"downscale": 3, "upscale": 0}}),
    Case("superpixels", {"count": 100}, "Superpixels",
         {"p_replace": _same(1), "n_segments": (100, 100)}),
)  # fmt: skip

#: A common recipe; pictures come and go as JPEG.
PIPELINE: tuple[Case, ...] = (
    Case("random_resized_crop", {"width": 384, "height": 384}, "RandomResizedCrop",
         {"size": (384, 384)}),
    Case("flip", {"axis": "x"}, "HorizontalFlip"),
    Case("rotate", {"angle": {"min": -15, "max": 15}}, "Rotate", {"limit": (-15, 15)}),
    Case("colour_jitter", {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 18},
         "ColorJitter", {"hue": (-0.05, 0.05)}),
    Case("gaussian_noise", {"std": 10}, "GaussNoise", {"std_range": _same(10 / 255)}),
)  # fmt: skip
