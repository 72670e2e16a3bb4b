"""The experiments about the expression model: intervals over faces."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from support import ROOT

sys.path.insert(0, str(ROOT))
torch = pytest.importorskip("torch")

from research.expression.ablate import draws, resampled
from research.expression.evaluate import softmax
from research.expression.fitting import FitReport, FitSettings
from research.expression.temperatures import error_by_chance


def test_resampled_first_is_balanced_accuracy_and_others_scatter_about_it() -> None:
    class_ids = np.array([0] * 40 + [3] * 10)
    hits = np.arange(50) % 4 > 0
    found = resampled(hits, class_ids, draws(class_ids))
    assert found[0] == pytest.approx((hits[:40].mean() + hits[40:].mean()) / 2)
    assert found[1:].mean() == pytest.approx(found[0], abs=0.01)
    # Binomial, by label: sqrt(p q / n) of each, halved.
    assert found[1:].std() == pytest.approx(np.hypot(0.433 / 40**0.5, 0.458 / 10**0.5) / 2, rel=0.1)


def test_error_by_chance_falls_with_the_number_of_faces() -> None:
    probs = softmax(np.random.default_rng(0).normal(size=(2000, 8)) * 2)
    assert error_by_chance(probs[:50], 50) > 0.1 > 0.04 > error_by_chance(probs, 50)


def test_progress_is_by_steps_where_they_are_given() -> None:
    report = FitReport(steps=30, seconds=10)
    assert FitSettings(100, 0.1).progress(report) == 0.1
    assert FitSettings(100, 0.1, steps=60).progress(report) == 0.5
