from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from imagesystem.events import Analysis
from inference_service.analysis import SCALE, analyse_picture
from inference_service.analysis.colours import (
    ciede2000,
    dominant_colours,
    histogram,
    lab_of_srgb,
    name_of,
)
from inference_service.analysis.composition import find_saliency, measure_composition
from inference_service.analysis.hashes import blurhash, phash
from inference_service.analysis.light import Light, measure_light
from inference_service.analysis.texture import find_edges, measure_texture
from inference_service.decoding import Picture, Pixels, decode

DATA = Path(__file__).parents[3] / "tests" / "data"


def analysed(pixels: Pixels) -> Analysis:
    return analyse_picture(
        Picture(pixels=pixels, width=pixels.shape[1], height=pixels.shape[0]).reduced(SCALE)
    )


def sample(name: str, side: int = SCALE) -> Picture:
    return decode((DATA / name).read_bytes(), max_pixels=10**8, side=side)


def luma_of(pixels: Pixels) -> Pixels:
    return np.round(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


# --- the whole ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 3), (1, 4000), (4000, 1), (7, 900)])
@pytest.mark.parametrize("filling", [0, 128, 255, "noise"])
def test_every_size_can_be_analysed(size: tuple[int, int], filling: int | str) -> None:
    random = np.random.default_rng(1)
    pixels = (
        random.integers(0, 256, (*size, 3), dtype=np.uint8)
        if isinstance(filling, str)
        else np.full((*size, 3), filling, np.uint8)
    )
    analysis = analysed(pixels)
    # everything is a number that JSON has, in its documented range, and survives the wire
    assert msgspec.json.decode(msgspec.json.encode(analysis), type=Analysis) == analysis
    assert (analysis.height, analysis.width) == size
    for share in (analysis.brightness, analysis.saturation, analysis.kind.confidence):
        assert 0 <= share <= 1
    assert sum(colour.share for colour in analysis.colours) <= 1.001
    assert sum(analysis.texture.lbp) == pytest.approx(1, abs=1e-3)


def test_the_same_picture_gets_the_same_answer() -> None:
    first, second = (msgspec.json.encode(analyse_picture(sample("coffee.png"))) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("size", "shape"),
    [((100, 200), "landscape"), ((200, 100), "portrait"), ((100, 101), "square")],
)
def test_orientation_is_the_pictures_shape(size: tuple[int, int], shape: str) -> None:
    assert analysed(np.zeros((*size, 3), np.uint8)).orientation == shape


def test_coffee_is_a_warm_photo_and_the_cameraman_a_grey_one() -> None:
    coffee = analyse_picture(sample("coffee.png"))
    assert coffee.kind.name == "photo"
    assert {"sienna", "peru"} <= {colour.name for colour in coffee.colours}
    camera = analyse_picture(sample("camera.png"))
    assert camera.kind.name == "photo"
    assert camera.saturation == 0
    assert all("gray" in c.name or c.name in ("black", "white") for c in camera.colours)


# --- colours --------------------------------------------------------------------------------

#: Sharma, Wu and Dalal 2005, table 1: two colours in CIELAB and their CIEDE2000 difference.
SHARMA = [
    (50, 2.6772, -79.7751, 50, 0, -82.7485, 2.0425),
    (50, 3.1571, -77.2803, 50, 0, -82.7485, 2.8615),
    (50, -1.3802, -84.2814, 50, 0, -82.7485, 1.0),
    (50, 0, 0, 50, -1, 2, 2.3669),
    (50, 2.49, -0.001, 50, -2.49, 0.0009, 7.1792),
    (50, 2.49, -0.001, 50, -2.49, 0.0011, 7.2195),
    (50, 2.5, 0, 73, 25, -18, 27.1492),
    (50, 2.5, 0, 58, 24, 15, 19.4535),
    (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
    (22.7233, 20.0904, -46.694, 23.0331, 14.973, -42.5619, 2.0373),
    (2.0776, 0.0795, -1.135, 0.9033, -0.0636, -0.5514, 0.9082),
]


@pytest.mark.parametrize("row", SHARMA)
def test_colour_differences_are_the_published_ones(row: tuple[float, ...]) -> None:
    difference = ciede2000(np.array(row[:3]), np.array([row[3:6]]))[0]
    assert difference == pytest.approx(row[6], abs=1e-4)


def test_white_is_the_white_point() -> None:
    assert lab_of_srgb(np.array([[255.0, 255, 255]]))[0] == pytest.approx([100, 0, 0], abs=0.01)


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((255, 0, 0), "red"),
        ((0, 128, 128), "teal"),
        ((102, 51, 153), "rebeccapurple"),
        ((128, 128, 128), "gray"),
        ((88, 57, 36), "saddlebrown"),
        ((17, 42, 73), "midnightblue"),
    ],
)
def test_colours_have_their_css_names(colour: tuple[int, int, int], name: str) -> None:
    assert name_of(np.array(colour, float)) == name


def test_flat_areas_are_told_exactly_with_their_shares() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, :60] = (18, 52, 86)
    pixels[:, 60:90] = (255, 215, 0)
    pixels[:, 90:] = (255, 255, 255)
    found = [(c.hex, c.share) for c in dominant_colours(*histogram(pixels))]
    assert found == [("#123456", 0.6), ("#ffd700", 0.3), ("#ffffff", 0.1)]


# --- light ----------------------------------------------------------------------------------


def light_of(pixels: Pixels) -> Light:
    return measure_light(pixels, luma_of(pixels))


def test_light_of_plain_pictures() -> None:
    black, white = np.zeros((50, 50, 3), np.uint8), np.full((50, 50, 3), 255, np.uint8)
    assert light_of(black) == Light(brightness=0, contrast=0, saturation=0, sharpness=0, entropy=0)
    assert light_of(white).brightness == 1
    red = np.zeros((50, 50, 3), np.uint8)
    red[..., 0] = 255
    assert light_of(red).saturation == 1


def test_half_black_half_white_has_the_most_contrast_and_one_bit() -> None:
    pixels = np.zeros((50, 50, 3), np.uint8)
    pixels[:, 25:] = 255
    light = light_of(pixels)
    assert light.contrast == pytest.approx(0.5)
    assert light.entropy == pytest.approx(1)
    assert light.brightness == pytest.approx(0.5)


def test_blur_takes_sharpness() -> None:
    sharp = sample("astronaut.png").pixels
    across = sum(np.roll(sharp, step, 1).astype(int) for step in range(4)) // 4
    blurred = sum(np.roll(across, step, 0) for step in range(4)) // 4
    assert light_of(sharp).sharpness > 5 * light_of(blurred.astype(np.uint8)).sharpness


# --- texture --------------------------------------------------------------------------------


def slow_lbp(luma: Pixels) -> list[float]:
    """The definition, pixel by pixel."""
    around = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    height, width = luma.shape
    bins = [0] * 10
    for y in range(height):
        for x in range(width):
            bits = [
                luma[min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)] >= luma[y, x]
                for dy, dx in around
            ]
            changes = sum(bits[i] != bits[i - 1] for i in range(8))
            bins[sum(bits) if changes <= 2 else 9] += 1
    return [count / luma.size for count in bins]


def test_binary_patterns_are_those_of_the_definition() -> None:
    random = np.random.default_rng(5)
    luma = random.integers(0, 12, (19, 23), dtype=np.uint8)
    found = measure_texture(luma, find_edges(luma)).lbp
    assert found == pytest.approx(slow_lbp(luma), abs=1e-5)


def test_a_flat_picture_has_one_pattern_and_no_edges() -> None:
    texture = measure_texture(np.full((30, 30), 77, np.uint8), np.zeros((30, 30), np.uint8))
    assert (texture.uniformity, texture.edge_density, texture.lbp[8]) == (1, 0, 1)


# --- composition ----------------------------------------------------------------------------


def test_the_eye_goes_to_what_stands_out() -> None:
    luma = np.full((300, 400), 90, np.uint8)
    luma[40:60, 290:320] = 250
    centre = measure_composition(luma).saliency_centre
    assert centre.x > 0.6
    assert centre.y < 0.35


def test_a_blank_picture_draws_the_eye_nowhere() -> None:
    composition = measure_composition(np.full((40, 30), 200, np.uint8))
    assert (composition.saliency_centre.x, composition.saliency_centre.y) == (0.5, 0.5)
    assert composition.symmetry_horizontal == composition.symmetry_vertical == 1
    assert find_saliency(np.full((64, 64), 9.0)).sum() == pytest.approx(1)


def test_symmetry_is_likeness_to_the_mirror_image() -> None:
    half = np.random.default_rng(2).integers(0, 256, (128, 64), dtype=np.uint8)
    mirrored = measure_composition(np.hstack([half, half[:, ::-1]]))
    assert mirrored.symmetry_horizontal > 0.99
    assert mirrored.symmetry_vertical < 0.3


def test_something_on_a_third_counts_for_thirds() -> None:
    on_third, off = np.full((2, 300, 300), 80, np.uint8)
    on_third[95:105, 195:205] = 255
    off[145:155, 145:155] = 255
    assert measure_composition(on_third).thirds > measure_composition(off).thirds + 0.2


# --- hashes ---------------------------------------------------------------------------------


def ramp(height: int, width: int) -> Pixels:
    y, x = np.mgrid[0:height, 0:width]
    across, down = x * 255 // max(1, width - 1), y * 255 // max(1, height - 1)
    return np.stack([across, down, (x * 7 + y * 13) % 256], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # written by the package blurhash 1.1.5, with 4 x 3 components
        ((1, 1), "L00000fQfQfQfQfQfQfQfQfQfQfQ"),
        ((1, 9), "L~H?4f6fo1sV|e6fo1sV|e6fo1sV"),
        ((9, 1), "L~05+]hZhZhZdbdbdbdbf%f%f%f%"),
        ((12, 20), "L$HoOF2*wubvqJR+jwe-f|fmfOfl"),
        ((33, 64), "L$HVC+2W$7Sdl}WVjsf5gLfhfSfg"),
    ],
)
def test_blurhashes_are_those_of_the_reference(size: tuple[int, int], expected: str) -> None:
    assert blurhash(ramp(*size)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("coffee.png", "LRJi8}NdwbxG}?E39bIpXlSgW.S2"),
        ("rocket.jpg", "L971$q%i9ZWB0hRk-Tjt+rjDNef+"),
    ],
)
def test_blurhashes_of_photographs_are_those_of_the_reference(name: str, expected: str) -> None:
    assert blurhash(sample(name, 48).pixels) == expected


def distance(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def test_perceptual_hashes_are_near_for_likenesses_and_far_for_others() -> None:
    names = ["astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg"]
    hashes = [phash(luma_of(sample(name).pixels)) for name in names]
    for name, original in zip(names, hashes, strict=True):
        assert len(original) == 16
        assert distance(original, phash(luma_of(sample(name, 160).pixels))) <= 6
        brighter = np.clip(sample(name).pixels * 1.15 + 5, 0, 255).astype(np.uint8)
        assert distance(original, phash(luma_of(brighter))) <= 10
    for index, one in enumerate(hashes):
        assert all(distance(one, other) >= 18 for other in hashes[index + 1 :])


def test_blank_pictures_have_a_steady_hash() -> None:
    assert phash(np.full((50, 70), 3, np.uint8)) == phash(np.full((9, 5), 250, np.uint8))
