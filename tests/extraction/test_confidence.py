"""Scores to confidences and back."""

from __future__ import annotations

import pytest

from app.extraction.confidence import UNSCALED, Scale

SCORES = (0.0, 1e-6, 0.05, 0.3, 0.5, 0.75, 0.999, 1.0)


@pytest.mark.parametrize("scale", [UNSCALED, Scale(0.4, -0.3), Scale(2.0, 1.5)])
def test_there_and_back(scale: Scale) -> None:
    confidences = [scale.confidence(score) for score in SCORES]
    assert confidences == sorted(confidences)
    assert (confidences[0], confidences[-1]) == (0.0, 1.0)
    assert [scale.score(c) for c in confidences] == pytest.approx(SCORES)


def test_a_flatter_line_says_less_for_sure() -> None:
    assert UNSCALED.confidence(0.95) == pytest.approx(0.95)
    assert 0.5 < Scale(0.5).confidence(0.95) < 0.95
    assert Scale(1.0, -1.0).confidence(0.5) < 0.5
