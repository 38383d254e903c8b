"""Published policies: which operations to draw, how strong, how often.

Labels are moved along, as by any step of a recipe.
"""

from __future__ import annotations

from augmentation_service.engine.policies.auto_augment import AUTO_AUGMENT
from augmentation_service.engine.policies.declarations import Policy, Taken
from augmentation_service.engine.policies.rand_augment import RAND_AUGMENT
from augmentation_service.engine.policies.trivial_augment import TRIVIAL_AUGMENT

__all__ = ["POLICIES", "Policy", "Taken"]

#: AugMix, which blends pictures that were augmented, is an operation: `augmix`.
POLICIES: dict[str, Policy] = {
    policy.name: policy for policy in (RAND_AUGMENT, TRIVIAL_AUGMENT, AUTO_AUGMENT)
}
