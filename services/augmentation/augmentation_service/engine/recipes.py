"""Recipes: which operations, with which parameters, how often, in which order.

A recipe is a tree of steps, groups and policies, carried out one after the other. What is left to
chance is drawn for each variant from streams of its own, so that a part that is added changes
nothing about the others. `reading` makes recipes of JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from augmentation_service.engine.aliases import ALIASES
from augmentation_service.engine.parameters import Integer, Number, Parameter, Value
from augmentation_service.engine.policies import POLICIES
from augmentation_service.engine.randomness import Randomness, Stream
from augmentation_service.engine.registry import REGISTRY

__all__ = [
    "Between",
    "Drawn",
    "Group",
    "GroupKind",
    "Node",
    "OneOf",
    "PolicyStep",
    "Recipe",
    "Setting",
    "Step",
    "draw",
]

GroupKind: TypeAlias = Literal["sequence", "one_of", "some_of", "random_order"]


class Between(msgspec.Struct, frozen=True):
    """Drawn uniformly from `least` to `most`."""

    least: float
    most: float


class OneOf(msgspec.Struct, frozen=True):
    """Drawn from a few values, each as likely."""

    values: tuple[Value, ...]


Setting: TypeAlias = Value | Between | OneOf


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A step of one variant: nothing about it is left to chance but its pixels.

    `others`: the digests of the pictures to mix in, if it is known which.
    """

    path: str
    operation: str
    values: dict[str, Value] = {}
    applied: bool = True
    others: tuple[str, ...] = ()


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a recipe.

    `path` names it in receipts and keys its randomness: its place in the recipe, as `0`, or `0.2`
    within a group.
    """

    path: str
    probability: float = 1.0

    def is_left_out(self, randomness: Randomness) -> bool:
        """Return whether chance leaves it out of this variant."""
        if self.probability >= 1:
            return False
        return randomness.stream(self.path, "probability").unit() >= self.probability


class Step(_Node, frozen=True, kw_only=True):
    """One operation; `settings` has every parameter of it, defaults filled in.

    With `alias`, the settings are that alias's, and `operation` is what it stands for.
    """

    operation: str
    settings: dict[str, Setting]
    alias: str | None = None

    def drawn(self, randomness: Randomness) -> Iterator[Drawn]:
        """Yield the step, applied or not."""
        values = draw(self, randomness)
        yield Drawn(
            path=self.path,
            operation=self.operation,
            values=values or {},
            applied=values is not None,
        )


class Group(_Node, frozen=True, kw_only=True):
    """Several parts: all in order, one of them by `weights`, `count` of them, all in any order."""

    kind: GroupKind
    nodes: tuple[Node, ...]
    weights: tuple[float, ...] = ()
    count: tuple[int, int] = (0, 0)

    def drawn(self, randomness: Randomness) -> Iterator[Drawn]:
        """Yield the steps of the parts that are drawn; of the others, nothing."""
        if self.is_left_out(randomness):
            return
        stream = randomness.stream(self.path, self.kind)
        for place in self._places(stream):
            yield from self.nodes[place].drawn(randomness)

    def _places(self, stream: Stream) -> Sequence[int]:
        every = len(self.nodes)
        if self.kind == "one_of":
            return [_weighted(self.weights, stream)] if every else []
        if self.kind == "some_of":
            least, most = self.count
            count = least + stream.below(most - least + 1)
            return sorted(stream.permutation(every)[:count])
        return stream.permutation(every) if self.kind == "random_order" else range(every)


class PolicyStep(_Node, frozen=True, kw_only=True):
    """A published policy, which draws operations itself; `settings` has all its parameters."""

    policy: str
    settings: dict[str, Setting]

    def drawn(self, randomness: Randomness) -> Iterator[Drawn]:
        """Yield the operations that the policy takes this time."""
        if self.is_left_out(randomness):
            return
        policy = POLICIES[self.policy]
        values = _values(policy.parameters, self.settings, self.path, randomness)
        stream = randomness.stream(self.path, self.policy)
        for place, (operation, given) in enumerate(policy.draw(stream, **values)):
            known = {parameter.name: parameter for parameter in REGISTRY[operation].parameters}
            defaults = {
                name: parameter.default
                for name, parameter in known.items()
                if parameter.default is not None
            }
            checked = {name: known[name].check(value) for name, value in given.items()}
            yield Drawn(path=f"{self.path}.{place}", operation=operation, values=defaults | checked)


Node: TypeAlias = Step | Group | PolicyStep


class Recipe(msgspec.Struct, frozen=True):
    """A recipe that can be carried out."""

    steps: tuple[Node, ...]

    def drawn(self, randomness: Randomness) -> Iterator[Drawn]:
        """Yield what is done for one variant, in order."""
        for node in self.steps:
            yield from node.drawn(randomness)


def draw(step: Step, randomness: Randomness) -> dict[str, Value] | None:
    """Return the parameters of a step for one variant, or None if it is left out this time."""
    if step.is_left_out(randomness):
        return None
    if step.alias is None:
        parameters = REGISTRY[step.operation].parameters
        return _values(parameters, step.settings, step.path, randomness)
    alias = ALIASES[step.alias]
    values = _values(alias.parameters, step.settings, step.path, randomness)
    operation = REGISTRY[step.operation]
    meant = alias.becomes(**values)
    return {
        parameter.name: parameter.check(meant.get(parameter.name, parameter.default))
        for parameter in operation.parameters
    }


def _values(
    parameters: Sequence[Parameter],
    settings: dict[str, Setting],
    path: str,
    randomness: Randomness,
) -> dict[str, Value]:
    """Draw parameters; each by the word at its place: one more that is drawn changes no other."""
    values: dict[str, Value] = {}
    stream = randomness.stream(path, "parameters")
    for place, parameter in enumerate(parameters):
        match settings[parameter.name], parameter:
            case OneOf(options), _:
                values[parameter.name] = options[stream.seek(place).below(len(options))]
            case Between(least, most), Number() | Integer():
                values[parameter.name] = parameter.between(least, most, stream.seek(place))
            case bool() | int() | float() | str() as value, _:
                values[parameter.name] = value
    return values


def _weighted(weights: Sequence[float], stream: Stream) -> int:
    """Return a place, as likely as its weight says."""
    left = stream.unit() * sum(weights)
    for place, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return place
    return max(place for place, weight in enumerate(weights) if weight > 0)
