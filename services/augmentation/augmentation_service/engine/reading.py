"""Reading recipes, as they come from JSON or YAML.

A recipe is a list of parts::

    [{"operation": "rotate", "parameters": {"angle": [-10, 10]}, "probability": 0.5},
     {"operation": "flip", "parameters": {"axis": {"choices": ["x", "y"]}}},
     {"one_of": [{"operation": "gaussian_noise", "parameters": {"std": 8}},
                 {"operation": "gaussian_blur", "parameters": {"sigma": [0.5, 2]}}],
      "weights": [2, 1]},
     {"policy": "rand_augment", "parameters": {"count": 2, "magnitude": 9}}]

A parameter is a value, a range to draw from uniformly (`[-10, 10]` says the same as
`{"min": -10, "max": 10}`), or `{"choices": [...]}` to draw from, each as likely. Groups are
`sequence`, `one_of` (with `weights`, or each as likely), `some_of` (with a `count`, or a range of
counts, in the order given) and `random_order`; their parts are steps, groups and policies again.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from augmentation_service.engine.aliases import ALIASES
from augmentation_service.engine.errors import BadRecipe, Fault
from augmentation_service.engine.parameters import (
    Integer,
    Number,
    Parameter,
    Unfit,
    Value,
    shown,
)
from augmentation_service.engine.policies import POLICIES
from augmentation_service.engine.recipes import (
    Between,
    Group,
    GroupKind,
    Node,
    OneOf,
    PolicyStep,
    Recipe,
    Setting,
    Step,
)
from augmentation_service.engine.registry import REGISTRY

__all__ = ["MAX_CHOICES", "MAX_DEPTH", "parse"]

MAX_CHOICES = 100
#: Groups within groups.
MAX_DEPTH = 8
#: Reasons told at once: enough to mend a recipe, not a way to make long answers.
_MAX_FAULTS = 20
_PROBABILITY = Number(name="probability", description="", unit="", least=0, most=1)
_WEIGHT = Number(name="weight", description="", unit="", least=0, most=1e6)
_GROUPS = get_args(GroupKind)
#: What a part may have besides, by what makes it one.
_FIELDS: dict[str, set[str]] = {
    "operation": {"parameters", "probability"},
    "policy": {"parameters", "probability"},
    "sequence": {"probability"},
    "one_of": {"weights", "probability"},
    "some_of": {"count", "probability"},
    "random_order": {"probability"},
}


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
        steps = _count(source)
        if steps > max_steps:
            self._fault(
                "too_many_steps",
                "recipe",
                f"it has {steps} steps, {max_steps} are allowed",
                allowed=max_steps,
                actual=steps,
            )
            return Recipe(())
        return Recipe(self._nodes("recipe", "", source, 1))

    def _nodes(
        self, path: str, place: str, source: Sequence[object], depth: int
    ) -> tuple[Node, ...]:
        nodes = [
            self._node(f"{path}[{number}]", f"{place}{number}", part, depth)
            for number, part in enumerate(source)
        ]
        return tuple(node for node in nodes if node is not None)

    def _node(self, path: str, place: str, source: object, depth: int) -> Node | None:
        kinds = [kind for kind in _FIELDS if isinstance(source, dict) and kind in source]
        if not isinstance(source, dict) or len(kinds) != 1:
            message = f"a step is an object with an `operation` (or one of: {_OTHERS})"
            self._fault("malformed_recipe", path, message)
            return None
        kind = kinds[0]
        self._no_others("malformed_recipe", path, "field", source, _FIELDS[kind] | {kind})
        probability = self._probability(f"{path}.probability", source.get("probability", 1.0))
        if kind in _GROUPS:
            return self._group((path, place, depth), cast("GroupKind", kind), source, probability)
        parameters = source.get("parameters", {})
        if not isinstance(parameters, dict):
            self._fault("malformed_recipe", f"{path}.parameters", "must be an object")
            return None
        make = self._step if kind == "operation" else self._policy
        return make(path, place, source[kind], parameters, probability)

    def _group(
        self,
        at: tuple[str, str, int],
        kind: GroupKind,
        source: Mapping[str, object],
        probability: float,
    ) -> Group | None:
        path, place, depth = at
        parts = source[kind]
        if not isinstance(parts, list | tuple) or not parts:
            self._fault("malformed_recipe", f"{path}.{kind}", "must be a list of steps")
            return None
        if depth >= MAX_DEPTH:
            message = f"groups are nested deeper than {MAX_DEPTH}"
            self._fault("malformed_recipe", f"{path}.{kind}", message, allowed=MAX_DEPTH)
            return None
        return Group(
            path=place,
            probability=probability,
            kind=kind,
            nodes=self._nodes(f"{path}.{kind}", f"{place}.", parts, depth + 1),
            weights=self._weights(f"{path}.weights", source.get("weights"), len(parts)),
            count=self._counts(f"{path}.count", source.get("count", 1), len(parts)),
        )

    def _weights(self, path: str, source: object, parts: int) -> tuple[float, ...]:
        if source is None:
            return (1.0,) * parts
        if not isinstance(source, list | tuple) or len(source) != parts:
            self._fault("malformed_recipe", path, f"must be a list of {parts} numbers")
            return ()
        weights = [
            self._checked(f"{path}[{place}]", _WEIGHT, weight)
            for place, weight in enumerate(source)
        ]
        if not any(weights):
            self._fault("malformed_recipe", path, "one of them at least must be above 0")
        return tuple(float(weight or 0) for weight in weights)

    def _counts(self, path: str, source: object, parts: int) -> tuple[int, int]:
        kind = Integer(name="count", description="", unit="steps", least=0, most=parts)
        setting = self._setting(path, kind, source)
        if isinstance(setting, Between):
            return int(setting.least), int(setting.most)
        if isinstance(setting, OneOf):
            self._fault("malformed_recipe", path, "must be a number or a range")
            return 0, 0
        return int(setting or 0), int(setting or 0)

    def _step(
        self,
        path: str,
        place: str,
        name: object,
        parameters: Mapping[object, object],
        probability: float,
    ) -> Step | None:
        given = {str(key) for key in parameters}
        if isinstance(name, str) and name in ALIASES and ALIASES[name].is_meant(given):
            alias = ALIASES[name]
            settings = self._settings(f"{path}.parameters", name, alias.parameters, parameters)
            return Step(
                path=place,
                operation=alias.operation,
                settings=settings,
                probability=probability,
                alias=name,
            )
        if not self._is_known(f"{path}.operation", "operation", name, (*REGISTRY, *ALIASES)):
            return None
        operation = REGISTRY[str(name)]
        return Step(
            path=place,
            operation=operation.name,
            settings=self._settings(
                f"{path}.parameters", operation.name, operation.parameters, parameters
            ),
            probability=probability,
        )

    def _policy(
        self,
        path: str,
        place: str,
        name: object,
        parameters: Mapping[object, object],
        probability: float,
    ) -> PolicyStep | None:
        if not self._is_known(f"{path}.policy", "policy", name, tuple(POLICIES)):
            return None
        policy = POLICIES[str(name)]
        return PolicyStep(
            path=place,
            policy=policy.name,
            settings=self._settings(
                f"{path}.parameters", policy.name, policy.parameters, parameters
            ),
            probability=probability,
        )

    def _is_known(self, path: str, what: str, name: object, names: Sequence[str]) -> bool:
        if isinstance(name, str) and name in names:
            return True
        meant = difflib.get_close_matches(str(name)[:64], names, 1)
        hint = f"; did you mean {meant[0]}?" if meant else ""
        self._fault(
            f"unknown_{what}",
            path,
            f"there is no {what} {shown(name)}{hint}",
            allowed=", ".join(sorted(set(names))),
            actual=shown(name),
        )
        return False

    def _probability(self, path: str, value: object) -> float:
        return float(self._checked(path, _PROBABILITY, value) or 0.0)

    def _settings(
        self,
        path: str,
        owner: str,
        parameters: Sequence[Parameter],
        given: Mapping[object, object],
    ) -> dict[str, Setting]:
        known = {parameter.name for parameter in parameters}
        self._no_others("unknown_parameter", path, f"parameter of {owner}", given, known)
        settings: dict[str, Setting] = {}
        for parameter in parameters:
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
                        f"{owner} needs it: {parameter.description} ({parameter.allowed})",
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


_OTHERS = ", ".join(kind for kind in _FIELDS if kind != "operation")


def _count(source: object, depth: int = 0) -> int:
    """Return how many steps and policies there are, in groups too."""
    if not isinstance(source, list | tuple) or depth > MAX_DEPTH:
        return 0
    steps = 0
    for part in source:
        inner = [part[kind] for kind in _GROUPS if kind in part] if isinstance(part, dict) else []
        steps += sum(_count(parts, depth + 1) for parts in inner) if inner else 1
    return steps
