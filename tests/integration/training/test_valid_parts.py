"""The validation faces that choose the epoch do not calibrate the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from mien.data import read_manifest
from mien.evaluation import evaluate
from mien.evaluation.calibration import cross_fit
from mien.hub import read_model_folder
from mien.metrics import softmax


def _logits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are three times too sure."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (count, 3))
    draws = rng.random(count)[:, None]
    return 3 * logits, (softmax(logits).cumsum(axis=1) < draws).sum(axis=1).clip(max=2)


@pytest.mark.parametrize("faces", [15, 150])
def test_sets_of_new_faces_hold_the_label_as_often_as_promised(faces: int) -> None:
    covered = []
    for seed in range(60):
        temperature, sets = cross_fit(*_logits(faces, seed))
        logits, class_ids = _logits(400, 1000 + seed)
        held = sets.prediction_sets(softmax(logits, temperature=temperature))
        covered.append(held[np.arange(400), class_ids].mean())
    assert np.mean(covered) > 0.88


def test_a_run_calibrates_on_what_did_not_choose_its_epoch(trained: Path) -> None:
    record = json.loads((trained / "split.json").read_text())
    manifest = read_manifest(record["data"])
    valid = manifest.split("valid").with_labels()
    keys = [valid.images.key(index) for index in range(len(valid))]
    assert keys == record["valid"]
    calibrates = np.isin(keys, record["calibrate"])
    assert 0.4 < calibrates.mean() < 0.6
    config = read_model_folder(trained).config
    scored = evaluate(str(trained), manifest)
    assert list(scored.keys) == keys
    logits = np.log(scored.probs[calibrates]) * config.temperature
    temperature, sets = cross_fit(logits, valid.class_ids[calibrates], seed=3)
    assert config.temperature == pytest.approx(temperature, rel=1e-3)
    assert config.conformal is not None
    assert config.conformal.faces == calibrates.sum() == record["faces"]["calibrate"]
    assert config.conformal.thresholds == pytest.approx(sets.thresholds, abs=1e-3)
