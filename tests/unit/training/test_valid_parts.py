"""The validation faces that choose the epoch do not calibrate the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from mien.conformal import fit_conformal
from mien.data import FileImages, Manifest
from mien.data.split import grouped_folds
from mien.evaluation.calibration import cross_fit
from mien.labels import HES3
from mien.metrics import fit_temperature, softmax
from mien.training.data.faces import calibration_part, deal_valid, limit_faces


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


def test_each_of_several_datasets_is_dealt_by_itself() -> None:
    class_ids = np.arange(36) % 3
    sources = np.array(["large"] * 30 + ["small"] * 6)
    selects = deal_valid(replace(_manifest(class_ids, None), sources=sources), 0)
    for name in ("large", "small"):
        inside = sources == name
        assert selects[inside].sum() == inside.sum() / 2
        assert set(class_ids[inside & selects]) == {0, 1, 2}


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


def test_a_limit_is_drawn_by_class() -> None:
    class_ids = np.repeat([0, 1, 2], [700, 290, 10])  # as a folder lists them
    kept = limit_faces(_manifest(class_ids, None), 100, seed=0)
    assert np.bincount(kept.class_ids).tolist() == [70, 29, 1]
    assert kept.images.key(0) != "000.png"
    again = limit_faces(_manifest(class_ids, None), 100, seed=0)
    assert again.fingerprint() == kept.fingerprint()
    assert limit_faces(_manifest(class_ids, None), 100, seed=1).fingerprint() != kept.fingerprint()


@pytest.mark.parametrize("count", [3, 8, 40])
def test_a_small_limit_has_each_class(count: int) -> None:
    kept = limit_faces(_manifest(np.repeat([2, 0, 1], [5, 500, 60]), None), count, seed=0)
    assert len(kept) == count
    assert set(kept.class_ids) == {0, 1, 2}


def test_a_limit_above_the_faces_keeps_all_in_their_order() -> None:
    faces = _manifest(np.arange(30) % 3, None)
    assert limit_faces(faces, 99, seed=0).fingerprint() == faces.fingerprint()


def test_a_limit_is_shared_by_several_datasets() -> None:
    sources = np.array(["large"] * 90 + ["small"] * 10)
    faces = replace(_manifest(np.arange(100) % 2, None), sources=sources)
    kept = limit_faces(faces, 20, seed=0).sources
    assert kept is not None
    assert kept.tolist().count("small") == 2
