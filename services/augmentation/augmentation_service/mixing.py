"""How many pictures a recipe mixes in."""

from __future__ import annotations

from augmentation_service.engine import REGISTRY, Recipe
from augmentation_service.engine.recipes import Group, Node, Step

__all__ = ["others_needed"]


def others_needed(recipe: Recipe) -> int:
    """Return how many pictures a step needs besides the first, at most."""
    return max(map(_needed, recipe.steps), default=0)


def _needed(node: Node) -> int:
    if isinstance(node, Group):
        return max(map(_needed, node.nodes), default=0)
    # Policies draw operations on one picture.
    return REGISTRY[node.operation].pictures - 1 if isinstance(node, Step) else 0
