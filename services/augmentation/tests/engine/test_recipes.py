from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from augmentation_service.engine import ALIASES, REGISTRY, BadRecipe, Fault, parse
from augmentation_service.engine.randomness import Randomness
from augmentation_service.engine.recipes import draw
from hypothesis import example, given
from hypothesis import strategies as st


def faults(source: object, **more: Any) -> tuple[Fault, ...]:
    with pytest.raises(BadRecipe) as caught:
        parse(source, **more)
    assert str(caught.value)
    return caught.value.faults


def one(operation: str, **parameters: Any) -> list[dict[str, Any]]:
    return [{"operation": operation, "parameters": parameters}]


def drawn(source: list[dict[str, Any]], variant: int, seed: int = 0) -> dict[str, Any] | None:
    return draw(parse(source).steps[0], Randomness(seed, "source", variant))


def test_defaults_are_filled_in() -> None:
    (step,) = parse(one("rotate", angle=10)).steps
    assert step.settings == {
        "angle": 10.0,
        "canvas": "keep",
        "interpolation": "linear",
        "border": "fill",
        "fill": "#00000000",
    }
    assert (step.path, step.probability) == ("0", 1.0)
    assert parse([]).steps == ()


MALFORMED, OUT, UNFIT = "malformed_recipe", "parameter_out_of_range", "invalid_parameter"
ANGLE, AXIS, FILL = (f"recipe[0].parameters.{name}" for name in ("angle", "axis", "fill"))
DEGREES, NUMBER, COLOUR = "-360 to 360", "a number, -360 to 360", "#rrggbb or #rrggbbaa"
KNOWN = ", ".join(sorted({*REGISTRY, *ALIASES}))


@pytest.mark.parametrize(
    ("source", "code", "path", "allowed", "actual"),
    [
        ("rotate", MALFORMED, "recipe", None, None),
        (None, MALFORMED, "recipe", None, None),
        ({"steps": []}, MALFORMED, "recipe", None, None),
        (["rotate"], MALFORMED, "recipe[0]", None, None),
        ([{}], MALFORMED, "recipe[0]", None, None),
        ([{"operation": "flip", "parameters": []}], MALFORMED, "recipe[0].parameters", None, None),
        ([*one("flip", axis="x"), {"operation": "flip", "parameters": {"axis": "x"}, "p": 1}],
         MALFORMED, "recipe[1]", "operation, parameters, probability", "'p'"),
        (one("rotat", angle=1), "unknown_operation", "recipe[0].operation",
         KNOWN, "'rotat'"),
        ([{"operation": 5}], "unknown_operation", "recipe[0].operation",
         KNOWN, "5"),
        (one("flip", axes="x", axis="x"), "unknown_parameter", "recipe[0].parameters", "axis",
         "'axes'"),
        (one("rotate"), "missing_parameter", ANGLE, DEGREES, None),
        (one("rotate", angle=361), OUT, ANGLE, DEGREES, "361"),
        (one("rotate", angle=-1e300), OUT, ANGLE, DEGREES, "-1e+300"),
        (one("rotate", angle=float("nan")), OUT, ANGLE, DEGREES, "nan"),
        (one("rotate", angle=10**400), OUT, ANGLE, DEGREES, "an integer of 1329 bits"),
        (one("rotate", angle="90"), UNFIT, ANGLE, NUMBER, "'90'"),
        (one("rotate", angle=True), UNFIT, ANGLE, NUMBER, "True"),
        (one("rotate", angle=None), UNFIT, ANGLE, NUMBER, "None"),
        (one("rotate", angle=[1, 2, 3]), UNFIT, ANGLE, NUMBER, "[1, 2, 3]"),
        (one("rotate", angle={"min": 1}), UNFIT, ANGLE, None, None),
        (one("rotate", angle={"min": 5, "max": 1}), UNFIT, ANGLE, None, "5 to 1"),
        (one("rotate", angle={"min": 5, "max": 999}), OUT,
         ANGLE + ".max", DEGREES, "999"),
        (one("rotate", angle={"choices": []}), UNFIT, ANGLE + ".choices", None, None),
        (one("rotate", angle={"choices": [1, "x"]}), UNFIT,
         ANGLE + ".choices[1]", NUMBER, "'x'"),
        (one("rotate", angle=1, fill="red"), UNFIT, FILL, COLOUR, "'red'"),
        (one("rotate", angle=1, fill="#12345"), UNFIT, FILL, COLOUR, "'#12345'"),
        (one("flip", axis="z"), UNFIT, AXIS, "x, y", "'z'"),
        (one("flip", axis={"min": "x", "max": "y"}), UNFIT, AXIS, None, None),
        (one("gaussian_noise", std=5, per_channel=1), UNFIT,
         "recipe[0].parameters.per_channel", "true, false", "1"),
        ([{"operation": "flip", "parameters": {"axis": "x"}, "probability": 1.5}],
         OUT, "recipe[0].probability", "0 to 1", "1.5"),
    ],
)  # fmt: skip
def test_faults_say_where_what_and_what_would_do(
    source: object, code: str, path: str, allowed: object, actual: object
) -> None:
    (fault,) = faults(source)
    assert (fault.code, fault.path, fault.allowed) == (code, path, allowed)
    assert fault.actual == actual


def test_every_fault_is_told_but_not_without_end() -> None:
    found = faults([*one("rotate", angle=999, canvas="huge"), *one("blur"), *one("flip")])
    assert [fault.path for fault in found] == [
        "recipe[0].parameters.angle",
        "recipe[0].parameters.canvas",
        "recipe[1].operation",
        "recipe[2].parameters.axis",
    ]
    many = [{"operation": "x" * 10_000}] * 30
    assert len(faults(many)) == 20
    assert max(len(fault.message) for fault in faults(many)) < 300


def test_a_misspelt_operation_is_guessed() -> None:
    (fault,) = faults(one("gausian_blur", sigma=1))
    assert "did you mean gaussian_blur?" in fault.message


def test_the_number_of_steps_is_bounded() -> None:
    assert len(parse(one("flip", axis="x") * 4, max_steps=4).steps) == 4
    (fault,) = faults(one("flip", axis="x") * 5, max_steps=4)
    assert (fault.code, fault.allowed, fault.actual) == ("too_many_steps", 4, 5)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
recipe_like = st.lists(
    st.fixed_dictionaries(
        {"operation": st.sampled_from(sorted(REGISTRY)) | anything},
        optional={
            "parameters": st.dictionaries(
                st.sampled_from(["angle", "axis", "std", "sigma", "amount", "fill"]) | st.text(),
                anything
                | st.fixed_dictionaries({"min": anything, "max": anything})
                | st.fixed_dictionaries({"choices": st.lists(anything, max_size=3)}),
                max_size=4,
            ),
            "probability": anything,
        },
    ),
    max_size=4,
)


@given(anything | recipe_like)
@example([{"operation": "flip", "parameters": {1: 2}}])
def test_whatever_comes_is_a_recipe_or_has_faults(source: object) -> None:
    try:
        steps = parse(source).steps
    except BadRecipe as error:
        steps = ()
        msgspec.json.encode(error.faults)
    for step in steps:
        draw(step, Randomness(1, "", 2))


def test_ranges_are_drawn_from_their_whole_width() -> None:
    source = one("rotate", angle={"min": -10, "max": 30})
    angles = [(drawn(source, variant) or {})["angle"] for variant in range(400)]
    assert min(angles) < -8
    assert max(angles) > 28
    assert all(-10 <= angle <= 30 for angle in angles)
    assert 8 < sum(angles) / len(angles) < 12
    assert (drawn(one("rotate", angle={"min": 7, "max": 7}), 0) or {})["angle"] == 7.0
    assert parse(one("rotate", angle=[-10, 30])) == parse(source)


def test_choices_are_each_as_likely() -> None:
    source = one("flip", axis={"choices": ["x", "y"]})
    counts = Counter((drawn(source, variant) or {})["axis"] for variant in range(400))
    assert set(counts) == {"x", "y"}
    assert min(counts.values()) > 150


def test_a_step_is_left_out_as_often_as_said() -> None:
    source = [{"operation": "flip", "parameters": {"axis": "x"}, "probability": 0.25}]
    taken = sum(drawn(source, variant) is not None for variant in range(400))
    assert 70 < taken < 130
    never = [{**source[0], "probability": 0}]
    assert all(drawn(never, variant) is None for variant in range(50))


def test_a_parameter_more_changes_none_of_the_others() -> None:
    alone = drawn(one("rotate", angle={"min": 0, "max": 90}), 3)
    both = drawn(
        one("rotate", angle={"min": 0, "max": 90}, border={"choices": ["edge", "reflect"]}), 3
    )
    assert alone is not None
    assert both is not None
    assert alone["angle"] == both["angle"]
