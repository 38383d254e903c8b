"""What every operation promises, for every operation there is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from augmentation_service.engine import (
    REGISTRY,
    Box,
    Keypoint,
    Labels,
    Source,
    TooFewPictures,
    apply,
    parse,
)
from augmentation_service.engine.declarations import (
    CoveringOperation,
    GeometricOperation,
    MixingOperation,
    PixelOperation,
)
from augmentation_service.engine.parameters import Choice, Colour, Integer, Number, Toggle
from augmentation_service.engine.randomness import Stream
from augmentation_service.engine.registry import _MODULES
from hypothesis import given, settings
from hypothesis import strategies as st

SHAPES = [(12, 12), (7, 19), (19, 7), (1, 1), (1, 9), (9, 1), (4, 1), (1, 4), (2, 3)]
NAMES = sorted(REGISTRY)
GEOMETRIC = [name for name in NAMES if isinstance(REGISTRY[name], GeometricOperation)]
IN_PLACE = [name for name in NAMES if isinstance(REGISTRY[name], PixelOperation)]
EXACT = [name for name in NAMES if REGISTRY[name].exact]
COVERING = [name for name in NAMES if isinstance(REGISTRY[name], CoveringOperation)]
MIXING = [name for name in NAMES if isinstance(REGISTRY[name], MixingOperation)]
NEUTRAL = [name for name in NAMES if REGISTRY[name].neutral is not None]


def picture(shape: tuple[int, int], channels: int, seed: int, dtype: str = "u1") -> np.ndarray:
    random = np.random.default_rng(seed)
    levels = random.integers(0, 256, (*shape, channels), dtype=np.uint8)
    return levels if dtype == "u1" else levels.astype(np.float32) / np.float32(255)


#: Others for what mixes: of other sizes, types and channels than the first.
OTHERS = [
    Source(
        image=picture((6 + n, 9 + 3 * n), (1, 3, 4)[n % 3], n, ("u1", "f4")[n % 2]),
        source=f"other {n}",
        labels=Labels(
            boxes=[Box(x_min=1, y_min=1, x_max=5, y_max=4)], keypoints=[Keypoint(x=3, y=2)]
        ),
    )
    for n in range(8)
]

pictures = st.builds(
    picture, st.sampled_from(SHAPES), st.sampled_from([1, 3, 4]), st.integers(0, 1000)
)
pictures_of_any_type = st.builds(
    picture,
    st.sampled_from(SHAPES),
    st.sampled_from([1, 3, 4]),
    st.integers(0, 1000),
    st.sampled_from(["u1", "f4"]),
)


def stark(shape: tuple[int, int], channels: int, share: float) -> np.ndarray:
    """Return nothing but 0 and 1, a `share` of 1: where rounding leads out of the values."""
    random = np.random.default_rng(1).random((*shape, channels))
    return (random < share).astype(np.float32)


def value_of(parameter: Any) -> st.SearchStrategy[Any]:
    match parameter:
        case Number():
            return st.floats(parameter.least, parameter.most)
        case Integer(unit="pixels"):
            return st.integers(parameter.least, min(parameter.most, 60))
        case Integer():
            return st.integers(parameter.least, parameter.most)
        case Choice():
            return st.sampled_from([*parameter.choices])
        case Toggle():
            return st.booleans()
        case Colour():
            return st.sampled_from(["#000000", "#12ab9F", "#ff000080", "#00000000"])
    raise AssertionError(parameter)


def parameters_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {parameter.name: value_of(parameter) for parameter in REGISTRY[name].parameters}
    )


def step(name: str, parameters: dict[str, Any]) -> Any:
    return parse([{"operation": name, "parameters": parameters}])


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), image=pictures_of_any_type)
@settings(max_examples=25, deadline=None)
def test_an_image_comes_out_and_the_same_one_each_time(
    name: str, data: st.DataObject, image: np.ndarray
) -> None:
    recipe = step(name, data.draw(parameters_of(name)))
    before = image.copy()
    first = apply(recipe, image, seed=5, source="a", others=OTHERS)
    assert first.image.dtype == image.dtype
    assert first.image.dtype == np.uint8 or 0 <= first.image.min() <= first.image.max() <= 1
    assert first.image.shape[2] == image.shape[2]
    assert first.image.size > 0
    assert np.array_equal(image, before), "the source is left as it was"
    again = apply(recipe, image.copy(), seed=5, source="a", others=OTHERS)
    assert np.array_equal(first.image, again.image)
    assert first.receipt == again.receipt
    assert (first.receipt.height, first.receipt.width) == first.image.shape[:2]


@pytest.mark.parametrize("name", NAMES)
@given(
    data=st.data(),
    image=st.builds(
        stark,
        st.sampled_from([(1, 1), (9, 1), (33, 31)]),
        st.sampled_from([1, 3, 4]),
        st.sampled_from([0, 0.5, 1]),
    ),
)
@settings(max_examples=25, deadline=None)
def test_floats_stay_between_0_and_1(name: str, data: st.DataObject, image: np.ndarray) -> None:
    recipe = step(name, data.draw(parameters_of(name)))
    result = apply(recipe, image, seed=5, source="a", others=OTHERS).image
    assert 0 <= result.min() <= result.max() <= 1


@pytest.mark.parametrize("name", NEUTRAL)
@given(data=st.data(), image=pictures_of_any_type)
@settings(max_examples=15, deadline=None)
def test_neutral_parameters_change_nothing(
    name: str, data: st.DataObject, image: np.ndarray
) -> None:
    parameters = data.draw(parameters_of(name)) | (REGISTRY[name].neutral or {})
    result = apply(step(name, parameters), image, others=OTHERS).image
    assert result.shape == image.shape
    # Floats go through 256 levels where an operation is defined on them.
    assert np.abs(result.astype(float) - image).max() <= (0 if image.dtype == np.uint8 else 1e-6)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("shape", SHAPES)
def test_floats_come_near_to_levels(name: str, shape: tuple[int, int]) -> None:
    recipe = step(name, dict(REGISTRY[name].example))
    others = [source for source in OTHERS if source.image.dtype == np.uint8] * 2
    levels = apply(recipe, picture(shape, 3, 1), source="a", others=others).image
    floats = apply(recipe, picture(shape, 3, 1, "f4"), source="a", others=others).image
    difference = np.abs(floats * 255.0 - levels)
    assert difference.max() <= 4


@pytest.mark.parametrize("name", IN_PLACE)
@given(data=st.data(), image=pictures_of_any_type)
@settings(max_examples=20, deadline=None)
def test_what_moves_nothing_keeps_shape_alpha_and_labels(
    name: str, data: st.DataObject, image: np.ndarray
) -> None:
    height, width = image.shape[:2]
    labels = Labels(
        boxes=[Box(x_min=0, y_min=0, x_max=width, y_max=height)],
        keypoints=[Keypoint(x=width / 2, y=height / 2)],
    )
    recipe = step(name, data.draw(parameters_of(name)))
    result = apply(recipe, image, labels=labels, others=OTHERS)
    assert result.image.shape == image.shape
    if image.shape[2] == 4:
        assert np.array_equal(result.image[..., 3], image[..., 3])
    assert result.labels is not None
    (box,) = result.labels.boxes
    assert (box.x_min, box.y_min, box.x_max, box.y_max, box.visibility) == (0, 0, width, height, 1)
    assert (result.labels.keypoints[0].x, result.labels.keypoints[0].y) == (width / 2, height / 2)


@pytest.mark.parametrize("name", GEOMETRIC)
@given(data=st.data(), image=pictures)
@settings(max_examples=20, deadline=None)
def test_transparency_moves_as_a_grey_picture_would(
    name: str, data: st.DataObject, image: np.ndarray
) -> None:
    drawn = data.draw(parameters_of(name)) | {"fill": "#000000"}
    known = {parameter.name for parameter in REGISTRY[name].parameters}
    parameters = {key: value for key, value in drawn.items() if key in known}
    # The same values as opacity and as grey; black appears in both where nothing was.
    opacity = image[..., :1]
    with_alpha = np.concatenate([np.repeat(opacity, 3, axis=2), opacity], axis=2)
    if "fill" in known:
        parameters["fill"] = "#00000000"
    moved = apply(step(name, parameters), with_alpha).image[..., 3:]
    grey = apply(step(name, parameters), np.ascontiguousarray(opacity)).image
    difference = np.abs(moved.astype(int) - grey)
    # OpenCV finds places between pixels to a 32nd, or better, as it likes.
    assert difference.max() <= 24
    assert difference.mean() <= 1.5


@pytest.mark.parametrize("name", GEOMETRIC)
@given(data=st.data(), image=pictures)
@settings(max_examples=20, deadline=None)
def test_what_is_opaque_stays_opaque(name: str, data: st.DataObject, image: np.ndarray) -> None:
    parameters = data.draw(parameters_of(name))
    if "fill" in parameters:
        parameters["fill"] = "#808080"
    opaque = np.concatenate([np.repeat(image[..., :1], 3, axis=2)] * 2, axis=2)[..., :4]
    opaque[..., 3] = 255
    result = apply(step(name, parameters), np.ascontiguousarray(opaque)).image
    assert (result[..., 3] == 255).all()


@pytest.mark.parametrize("name", GEOMETRIC)
@given(data=st.data(), image=pictures, corners=st.tuples(*[st.floats(-5, 25)] * 4))
@settings(max_examples=25, deadline=None)
def test_labels_stay_inside(
    name: str,
    data: st.DataObject,
    image: np.ndarray,
    corners: tuple[float, float, float, float],
) -> None:
    x, y = sorted(corners[:2]), sorted(corners[2:])
    box = Box(x_min=x[0], y_min=y[0], x_max=x[1], y_max=y[1])
    labels = Labels(boxes=[box], keypoints=[Keypoint(x=x[0], y=y[0])])
    recipe = parse([{"operation": name, "parameters": data.draw(parameters_of(name))}] * 2)
    result = apply(recipe, image, labels=labels)
    height, width = result.image.shape[:2]
    assert result.labels is not None
    for moved in result.labels.boxes:
        assert 0 <= moved.x_min <= moved.x_max <= width
        assert 0 <= moved.y_min <= moved.y_max <= height
        assert 0 <= moved.visibility <= 1
    (point,) = result.labels.keypoints
    if point.visible:
        assert -0.001 <= point.x <= width + 0.001
        assert -0.001 <= point.y <= height + 0.001


@pytest.mark.parametrize("name", COVERING)
@given(data=st.data(), shape=st.sampled_from(SHAPES), channels=st.sampled_from([1, 3, 4]))
@settings(max_examples=20, deadline=None)
def test_what_is_hidden_is_inside_and_the_rest_stays(
    name: str, data: st.DataObject, shape: tuple[int, int], channels: int
) -> None:
    image = picture(shape, channels, 1)
    height, width = shape
    operation = REGISTRY[name]
    assert isinstance(operation, CoveringOperation)
    values = data.draw(parameters_of(name))
    hidden = operation.region((width, height), Stream(b"x"), **values)
    assert hidden.shape[1:] == (4,)
    covered = np.zeros(shape, int)
    for left, top, right, bottom in hidden:
        assert 0 <= left <= right <= width
        assert 0 <= top <= bottom <= height
        covered[top:bottom, left:right] += 1
    assert covered.max() <= 1, "they don't overlap"
    result = operation.cover(image, hidden, Stream(b"x"), **values)
    assert result.shape == image.shape
    assert np.array_equal(result[covered == 0], image[covered == 0])


@pytest.mark.parametrize("name", MIXING)
@given(data=st.data(), image=pictures_of_any_type)
@settings(max_examples=20, deadline=None)
def test_labels_of_all_pictures_that_are_mixed_lie_inside(
    name: str, data: st.DataObject, image: np.ndarray
) -> None:
    height, width = image.shape[:2]
    labels = Labels(boxes=[Box(x_min=0, y_min=0, x_max=width, y_max=height)])
    recipe = step(name, data.draw(parameters_of(name)))
    result = apply(recipe, image, labels=labels, others=OTHERS)
    assert len(result.receipt.steps[0].others) == REGISTRY[name].pictures - 1
    high, wide = result.image.shape[:2]
    assert result.labels is not None
    for box in result.labels.boxes:
        assert 0 <= box.x_min < box.x_max <= wide
        assert 0 <= box.y_min < box.y_max <= high
        assert 0 <= box.weight <= 1
    with pytest.raises(TooFewPictures):
        apply(recipe, image, others=OTHERS[: REGISTRY[name].pictures - 2])


@pytest.mark.parametrize("name", NAMES)
def test_functions_take_exactly_the_declared_parameters(name: str) -> None:
    operation = REGISTRY[name]
    declared = {parameter.name for parameter in operation.parameters}
    functions: dict[type, Callable[[Any], tuple[Any, ...]]] = {
        PixelOperation: lambda row: (row.function,),
        GeometricOperation: lambda row: (row.move, row.warp),
        CoveringOperation: lambda row: (row.region, row.cover),
        MixingOperation: lambda row: (row.place, row.mix),
    }
    if isinstance(operation, GeometricOperation) and operation.sees_boxes:
        declared |= {"boxes"}
    if isinstance(operation, PixelOperation) and operation.pictures > 1:
        declared |= {"others"}
    for function in functions[type(operation)](operation):
        taken = inspect.signature(function).parameters.values()
        named = {p.name for p in taken if p.kind is inspect.Parameter.KEYWORD_ONLY}
        rest = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken)
        assert named == declared or (rest and named < declared), function
        assert all(p.default is inspect.Parameter.empty for p in taken), "defaults are declared"


def test_no_two_operations_have_one_name() -> None:
    names = [operation.name for module in _MODULES for operation in module.OPERATIONS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", NAMES)
def test_operations_are_described(name: str) -> None:
    operation = REGISTRY[name]
    assert operation.name == name
    assert operation.description.endswith(".")
    assert operation.exact or operation.tolerance, "says how far machines differ"
    for parameter in operation.parameters:
        assert parameter.description
        if parameter.default is not None:
            assert parameter.check(parameter.default) == parameter.default
