"""The experiment with a temperature by face finds one where there is one."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from support import ROOT

sys.path.insert(0, str(ROOT))
torch = pytest.importorskip("torch")

from research.expression.evaluate import softmax
from research.expression.temperatures import Answers, fit


def test_temperature_by_input_is_found_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(2000, 8)) * 2
    probs = softmax(plain)
    class_ids = (probs.cumsum(axis=1) > rng.random((2000, 1))).argmax(axis=1)
    group = np.arange(2000) % 2
    factor = np.where(group, 3.0, 0.5)[:, None]
    part = Answers(plain * factor, group[:, None].astype(float), class_ids)
    found = fit([part], lambda _, features: features, 1e-6)(part)
    assert np.abs(found - probs).max() < 0.08
    one = fit([part], lambda _, features: features[:, :0], 0.0)(part)
    assert np.abs(one - probs).max() > 0.3
    assert (found.argmax(axis=1) == plain.argmax(axis=1)).all()
