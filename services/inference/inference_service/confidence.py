"""How sure a finding is, as 0-1, where a method tells weights and no probabilities."""

from __future__ import annotations

import math

__all__ = ["sureness"]


def sureness(weight: float, even: float, spread: float) -> float:
    """Return a detector's weight as 0-1: a half at `even`, about 0.73 at `even + spread`.

    A logistic curve, set by what true and false hits weigh on the sample pictures and their
    like. An order of certainty, no frequency.
    """
    return 1.0 / (1.0 + math.exp(-(weight - even) / spread))
