"""From a score of the heads to a confidence that can be believed: Platt scaling (Platt 1999)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """A line on the logits; the scores' order stays as it is, for ``slope`` is above 0."""

    slope: float = 1.0
    bias: float = 0.0

    def confidence(self, score: float) -> float:
        """A score in 0..1 to a confidence in 0..1."""
        return _sigmoid(self.slope * _logit(score) + self.bias)

    def score(self, confidence: float) -> float:
        """The score that has this confidence."""
        return _sigmoid((_logit(confidence) - self.bias) / self.slope)


UNSCALED = Scale()


def _logit(p: float) -> float:
    if p <= 0.0:
        return -math.inf
    return math.inf if p >= 1.0 else math.log(p / (1.0 - p))


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700 else 0.0
