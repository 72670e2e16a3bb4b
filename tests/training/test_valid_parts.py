"""The validation faces that choose the epoch do not calibrate the network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")

from mien.conformal import fit_conformal
from mien.data import FileImages, Manifest, read_manifest
from mien.data.split import grouped_folds
from mien.evaluation import evaluate
from mien.evaluation.calibration import cross_fit
from mien.hub import read_model_folder
from mien.labels import HES3
from mien.metrics import fit_temperature, softmax
from mien.training.data.faces import calibration_part, deal_valid


def _manifest(class_ids: np.ndarray, groups: np.ndarray | None) -> Manifest:
    names = tuple(f"{index:03}.png" for index in range(len(class_ids)))
    return Manifest(
        "by hand", HES3, FileImages(Path("faces"), names), np.eye(3)[class_ids], class_ids,
        np.full(len(class_ids), "valid"), groups, np.zeros(len(class_ids), bool),
    )  # fmt: skip


def test_halves_have_all_classes_and_whole_groups() -> None:
    class_ids = np.arange(30) % 3
    groups = np.array([f"person {index // 2}" for index in range(30)])
    selects = deal_valid(_manifest(class_ids, groups), 0)
    assert not set(groups[selects]) & set(groups[~selects])
    for part in (selects, calibration_part(selects)):
        assert 12 <= part.sum() <= 18
        assert set(class_ids[part]) == {0, 1, 2}
    assert (selects == ~calibration_part(selects)).all()


def test_one_group_does_both() -> None:
    selects = deal_valid(_manifest(np.arange(6) % 3, np.full(6, "ann")), 0)
    assert selects.all()
    assert calibration_part(selects).all()


def _logits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are three times too sure."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (count, 3))
    draws = rng.random(count)[:, None]
    return 3 * logits, (softmax(logits).cumsum(axis=1) < draws).sum(axis=1).clip(max=2)


def test_probabilities_under_the_thresholds_know_nothing_of_their_face() -> None:
    logits, class_ids = _logits(30, 0)
    temperature, sets = cross_fit(logits, class_ids, folds=5, seed=1)
    assert temperature == fit_temperature(logits, class_ids)
    probs = np.zeros((30, 3))
    dealt = grouped_folds(class_ids, folds=5, seed=1)
    for index in range(30):
        others = dealt != dealt[index]
        own = fit_temperature(logits[others], class_ids[others])
        probs[index] = softmax(logits[index : index + 1], temperature=own)[0]
    assert sets == fit_conformal(probs, class_ids)
    assert sets.faces == 30


@pytest.mark.parametrize("faces", [1, 2, 3, 4, 7])
def test_a_few_faces_calibrate_too(faces: int) -> None:
    temperature, sets = cross_fit(*_logits(faces, 0))
    assert np.isfinite(temperature)
    assert sets.faces == faces
    assert sets.prediction_sets(np.eye(3)).all()  # so few promise nothing: each label is in


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
