"""Recipes: which operations, with which parameters, how often.

A recipe is a list of steps::

    [{"operation": "rotate", "parameters": {"angle": {"min": -10, "max": 10}}, "probability": 0.5},
     {"operation": "flip", "parameters": {"axis": {"choices": ["x", "y"]}}},
     {"operation": "gaussian_noise", "parameters": {"std": 8}}]

A parameter is a value, a range to draw from uniformly (`[-10, 10]` says the same as `min` and
`max`), or choices to draw from, each as likely.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from augmentation_service.engine.declarations import Operation
from augmentation_service.engine.errors import BadRecipe, Fault
from augmentation_service.engine.parameters import (
    Integer,
    Number,
    Parameter,
    Unfit,
    Value,
    shown,
)
from augmentation_service.engine.randomness import Randomness
from augmentation_service.engine.registry import REGISTRY

__all__ = ["MAX_CHOICES", "Between", "OneOf", "Recipe", "Setting", "Step", "draw", "parse"]

MAX_CHOICES = 100
#: Reasons told at once: enough to mend a recipe, not a way to make long answers.
_MAX_FAULTS = 20
_STEP_FIELDS = {"operation", "parameters", "probability"}


class Between(msgspec.Struct, frozen=True):
    """Drawn uniformly from `least` to `most`."""

    least: float
    most: float


class OneOf(msgspec.Struct, frozen=True):
    """Drawn from a few values, each as likely."""

    values: tuple[Value, ...]


Setting: TypeAlias = Value | Between | OneOf


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One operation; `settings` has every parameter of it, defaults filled in.

    `path` names the step in receipts and keys its randomness: its place in the recipe, as `0`.
    """

    path: str
    operation: str
    settings: dict[str, Setting]
    probability: float = 1.0


class Recipe(msgspec.Struct, frozen=True):
    """A recipe that can be carried out."""

    steps: tuple[Step, ...]


def draw(step: Step, randomness: Randomness) -> dict[str, Value] | None:
    """Return the parameters of a step for one variant, or None if it is left out this time.

    Each parameter has a stream of its own: adding one changes none of the others.
    """
    if step.probability < 1:
        chance = randomness.stream(step.path, "probability").unit()
        if chance >= step.probability:
            return None
    values: dict[str, Value] = {}
    for parameter in REGISTRY[step.operation].parameters:
        setting = step.settings[parameter.name]
        stream = randomness.stream(step.path, f"parameter {parameter.name}")
        match setting, parameter:
            case OneOf(options), _:
                values[parameter.name] = options[stream.below(len(options))]
            case Between(least, most), Number() | Integer():
                values[parameter.name] = parameter.between(least, most, stream)
            case bool() | int() | float() | str(), _:
                values[parameter.name] = setting
    return values


def parse(source: object, *, max_steps: int = 32) -> Recipe:
    """Return the recipe in `source`, as decoded from JSON or YAML.

    Raises `BadRecipe` with every fault (up to 20), each with its path.
    """
    reader = _Reader()
    recipe = reader.recipe(source, max_steps)
    if reader.faults:
        raise BadRecipe(tuple(reader.faults[:_MAX_FAULTS]))
    return recipe


class _Reader:
    """Reads on after a fault, to find the others."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def _fault(self, code: str, path: str, message: str, **more: Any) -> None:
        self.faults.append(Fault(code=code, path=path, message=message, **more))

    def recipe(self, source: object, max_steps: int) -> Recipe:
        if not isinstance(source, list | tuple):
            self._fault("malformed_recipe", "recipe", "a recipe is a list of steps")
            return Recipe(())
        if len(source) > max_steps:
            self._fault(
                "too_many_steps",
                "recipe",
                f"it has {len(source)} steps, {max_steps} are allowed",
                allowed=max_steps,
                actual=len(source),
            )
            return Recipe(())
        steps = [self._step(str(place), step) for place, step in enumerate(source)]
        return Recipe(tuple(step for step in steps if step is not None))

    def _step(self, place: str, source: object) -> Step | None:
        path = f"recipe[{place}]"
        if not isinstance(source, dict) or "operation" not in source:
            self._fault("malformed_recipe", path, "a step is an object with an `operation`")
            return None
        self._no_others("malformed_recipe", path, "field", source, _STEP_FIELDS)
        operation = self._operation(f"{path}.operation", source["operation"])
        parameters = source.get("parameters", {})
        if not isinstance(parameters, dict):
            self._fault("malformed_recipe", f"{path}.parameters", "must be an object")
            return None
        probability = self._probability(f"{path}.probability", source.get("probability", 1.0))
        if operation is None:
            return None
        return Step(
            path=place,
            operation=operation.name,
            settings=self._settings(f"{path}.parameters", operation, parameters),
            probability=probability,
        )

    def _operation(self, path: str, name: object) -> Operation | None:
        if isinstance(name, str) and name in REGISTRY:
            return REGISTRY[name]
        known = ", ".join(sorted(REGISTRY))
        meant = difflib.get_close_matches(str(name)[:64], REGISTRY, 1)
        hint = f"; did you mean {meant[0]}?" if meant else ""
        self._fault(
            "unknown_operation",
            path,
            f"there is no operation {shown(name)}{hint}",
            allowed=known,
            actual=shown(name),
        )
        return None

    def _probability(self, path: str, value: object) -> float:
        kind = Number(name="probability", description="", unit="", least=0, most=1)
        return float(self._checked(path, kind, value) or 0.0)

    def _settings(
        self, path: str, operation: Operation, given: Mapping[object, object]
    ) -> dict[str, Setting]:
        known = {parameter.name for parameter in operation.parameters}
        self._no_others("unknown_parameter", path, f"parameter of {operation.name}", given, known)
        settings: dict[str, Setting] = {}
        for parameter in operation.parameters:
            if parameter.name in given:
                setting = self._setting(
                    f"{path}.{parameter.name}", parameter, given[parameter.name]
                )
            else:
                setting = parameter.default
                if setting is None:
                    self._fault(
                        "missing_parameter",
                        f"{path}.{parameter.name}",
                        f"{operation.name} needs it: {parameter.description} ({parameter.allowed})",
                        allowed=parameter.allowed,
                    )
            if setting is not None:
                settings[parameter.name] = setting
        return settings

    def _setting(self, path: str, parameter: Parameter, source: object) -> Setting | None:
        if isinstance(source, list | tuple) and len(source) == 2:
            source = {"min": source[0], "max": source[1]}
        if not isinstance(source, dict):
            return self._checked(path, parameter, source)
        if set(source) == {"choices"}:
            return self._choices(f"{path}.choices", parameter, source["choices"])
        if set(source) == {"min", "max"} and isinstance(parameter, Number | Integer):
            return self._range(path, parameter, source)
        ranges = "{min, max}, " if isinstance(parameter, Number | Integer) else ""
        self._fault("invalid_parameter", path, f"must be a value, {ranges}or {{choices}}")
        return None

    def _choices(self, path: str, parameter: Parameter, source: object) -> OneOf | None:
        if not isinstance(source, list | tuple) or not 1 <= len(source) <= MAX_CHOICES:
            self._fault("invalid_parameter", path, f"must be a list of 1 to {MAX_CHOICES} values")
            return None
        values = [
            self._checked(f"{path}[{place}]", parameter, value)
            for place, value in enumerate(source)
        ]
        return OneOf(tuple(value for value in values if value is not None))

    def _range(
        self, path: str, parameter: Number | Integer, source: Mapping[object, object]
    ) -> Between | None:
        least = self._checked(f"{path}.min", parameter, source["min"])
        most = self._checked(f"{path}.max", parameter, source["max"])
        if least is None or most is None:
            return None
        if float(least) > float(most):
            self._fault(
                "invalid_parameter",
                path,
                f"its min {shown(least)} is above its max {shown(most)}",
                actual=f"{shown(least)} to {shown(most)}",
            )
            return None
        return Between(float(least), float(most))

    def _checked(self, path: str, parameter: Parameter, value: object) -> Value | None:
        try:
            return parameter.check(value)
        except Unfit as unfit:
            self._fault(
                "parameter_out_of_range" if unfit.out_of_range else "invalid_parameter",
                path,
                f"{unfit.actual} is not in {unfit.allowed}"
                if unfit.out_of_range
                else f"{unfit.actual} does not fit: {unfit.allowed}",
                allowed=unfit.allowed,
                actual=unfit.actual,
            )
            return None

    def _no_others(
        self, code: str, path: str, what: str, given: Mapping[Any, object], known: set[str]
    ) -> None:
        for name in given:
            if name not in known:
                allowed = ", ".join(sorted(known))
                self._fault(
                    code,
                    path,
                    f"there is no {what} {shown(name)}; known: {allowed}",
                    allowed=allowed,
                    actual=shown(name),
                )
