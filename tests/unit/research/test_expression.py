"""The experiments about the expression model: intervals over faces."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from support import ROOT

sys.path.insert(0, str(ROOT))
torch = pytest.importorskip("torch")

from research.expression.ablate import draws, resampled
from research.expression.evaluate import softmax
from research.expression.fitting import FitReport, FitSettings
from research.expression.further import with_shares
from research.expression.mean import mean_weights
from research.expression.temperatures import error_by_chance
from research.expression.tones import Tones, change_tones

if TYPE_CHECKING:
    from pathlib import Path


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


def test_small_side_is_for_the_first_part() -> None:
    settings = FitSettings(100, 0.1, small_side=40, small_share=0.25)
    assert [settings.side(48, progress) for progress in (0.0, 0.24, 0.25, 1.0)] == [40, 40, 48, 48]
    assert FitSettings(100, 0.1).side(48, 0.0) == 48


def test_shares_that_are_given_leave_the_rest_to_the_others() -> None:
    shares = {"ferplus": 0.6, "affect": 0.3, "cfee": 0.1}
    assert with_shares(shares, []) == pytest.approx(shares)
    assert with_shares(shares, ["affect=0.02"]) == pytest.approx(
        {"ferplus": 0.84, "affect": 0.02, "cfee": 0.14}
    )
    for given in (["moodme=0.1"], ["affect=1"], ["affect=0.5", "cfee=0.5"]):
        with pytest.raises(ValueError, match="sources are ferplus"):
            with_shares(shares, given)


def test_mean_of_weights_keeps_counters_and_refuses_another_network(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for name, shape, value in (("a", 3, 1.0), ("b", 3, 2.0), ("c", 4, 2.0)):
        weights = {"w": torch.full((shape,), value).half(), "n": torch.tensor(7)}
        save_file(weights, tmp_path / name)
    mean = mean_weights([tmp_path / "a", tmp_path / "b"])
    assert mean["w"].tolist() == [1.5] * 3
    assert mean["w"].dtype == torch.float32
    assert mean["n"].item() == 7
    with pytest.raises(ValueError, match="c is another network"):
        mean_weights([tmp_path / "a", tmp_path / "c"])


CALM = Tones(**dict.fromkeys(Tones.__dataclass_fields__, 0.0))


@pytest.mark.parametrize(
    "kind", ["light", "curve", "harsh", "blur", "low_resolution", "noise", "jpeg", "erase"]
)
def test_each_change_of_tones_reaches_its_share_of_the_faces(kind: str) -> None:
    torch.manual_seed(0)
    place = torch.arange(96.0)
    x = (60 + place.view(1, 1, 1, 96) + 30 * torch.sin(place / 2).view(1, 1, 96, 1)).clamp(1, 254)
    x = x.repeat(200, 1, 1, 1)

    def changed(share: float) -> float:
        out = change_tones(x, Tones(**{**CALM.__dict__, kind: share}))
        return float(((out - x).abs().amax(dim=(1, 2, 3)) > 1).float().mean())

    assert changed(0.0) == 0
    assert 0.2 < changed(0.4) < 0.55
    assert changed(1.0) > 0.85
