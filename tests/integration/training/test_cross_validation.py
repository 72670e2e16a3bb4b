from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from PIL import Image
from sklearn.metrics import f1_score

from mien.errors import ConfigError
from mien.training.config import TrainConfig
from mien.training.cross_validation import CrossValidation, cross_validate, plan_folds
from support.faces import LABELS, draw_face
from support.processes import start

#: Faces of each person in the made dataset, and the label of each of them in turn.
PEOPLE, EACH = 24, 3


def _write(root: Path) -> Path:
    """Writes a table of faces by person; one face has a near copy under another person."""
    rows = []
    (root / "faces").mkdir(parents=True)
    for person in range(PEOPLE):
        for number in range(EACH):
            name, label = f"faces/p{person:02}_{number}.png", LABELS[number]
            _textured(draw_face(label, number), 100 * person + number).save(root / name)
            split = "test" if person == 0 else "valid" if person % 6 == 1 else "train"
            rows.append([name, label, split, f"p{person:02}"])
    copy = np.asarray(Image.open(root / "faces/p02_0.png")).astype(np.int16)
    Image.fromarray(np.clip(copy + 3, 0, 255).astype(np.uint8)).save(root / "faces/copy.png")
    rows.append(["faces/copy.png", LABELS[0], "train", "p05"])
    with (root / "faces.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([["file_name", "label", "split", "subject_id"], *rows])
    return root / "faces.csv"


def _textured(face: Image.Image, seed: int) -> Image.Image:
    """Lays a coarse pattern over a face: drawn ones are near copies of each other without it."""
    pattern = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    coarse = Image.fromarray(pattern).resize(face.size, Image.Resampling.BICUBIC)
    return Image.blend(face, coarse, 0.7)


def _recipe(table: Path, **more: Any) -> TrainConfig:
    return TrainConfig.make({
        "data": f"csv:{table}", "model": "mienet_test", "epochs": 2, "warmup_epochs": 0,
        "batch_size": 16, "ema_decay": 0.5, "threads": 1, "precision": "32", "tag": "drawn", **more,
    })  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def result(table: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    return cross_validate(
        _recipe(table), tmp_path_factory.mktemp("runs") / "folds", folds=2, progress=False
    )


def test_people_and_copies_lie_in_one_fold(table: Path) -> None:
    plan = plan_folds(_recipe(table), folds=4)
    keys = [plan.manifest.images.key(index) for index in range(len(plan.manifest))]
    # Nothing of the test person, everything of all others, the former valid people too.
    assert len(keys) == (PEOPLE - 1) * EACH + 1
    assert not [key for key in keys if "p00" in key]
    folds: dict[str, set[int]] = {}
    for key, fold in zip(keys, plan.fold_ids.tolist(), strict=True):
        person = "p05" if "copy" in key else Path(key).name[:3]
        folds.setdefault(person, set()).add(fold)
    assert all(len(found) == 1 for found in folds.values())
    assert folds["p02"] == folds["p05"], "a near copy lies in another fold"
    counts = np.array([
        np.bincount(plan.manifest.class_ids[plan.fold_ids == fold], minlength=7)
        for fold in range(4)
    ])  # fmt: skip
    assert counts.sum() == len(keys)
    assert np.ptp(counts[:, counts.any(axis=0)], axis=0).max() <= 4


def test_a_fold_neither_teaches_nor_chooses(table: Path) -> None:
    plan = plan_folds(_recipe(table), folds=3)
    for fold in range(3):
        parts = plan.splits_of(fold, seed=0)
        assert np.array_equal(parts.splits == "test", plan.fold_ids == fold)
        assert {"train", "valid"} <= set(parts.splits.tolist())
        assert parts.groups is not None
        for group in np.unique(parts.groups):
            assert len(set(parts.splits[parts.groups == group].tolist())) == 1


def test_every_face_is_scored_once_by_the_network_that_did_not_know_it(
    result: CrossValidation, table: Path
) -> None:
    from mien import EmotionRecognizer
    from mien.data.faces import load_faces

    plan = plan_folds(_recipe(table), folds=2)
    pooled = result.pooled
    assert len(set(pooled.keys)) == len(pooled.keys) == (PEOPLE - 1) * EACH + 1
    assert sum(len(part.keys) for part in result.folds) == len(pooled.keys)
    assert np.allclose(pooled.probs.sum(axis=1), 1)
    where = {key: index for index, key in enumerate(pooled.keys)}
    for fold in range(2):
        held = plan.held_out(fold)
        recognizer = EmotionRecognizer(result.output / f"fold_{fold + 1}", detector="none")
        faces = load_faces(held, recognizer.config.preprocessing)
        expected = np.array([list(found.values()) for found in _probs(recognizer, faces)])
        rows = [where[held.images.key(index)] for index in range(len(held))]
        assert np.allclose(pooled.probs[rows], expected, atol=1e-5)


def _probs(recognizer: Any, faces: np.ndarray) -> list[dict[str, float]]:
    from mien.metrics import softmax

    probs = softmax(recognizer.pipeline.logits(faces), recognizer.config.temperature)
    return [dict(zip(recognizer.config.schema.labels, row, strict=True)) for row in probs]


def test_numbers_by_hand_and_as_scikit_learn_has_them(result: CrossValidation) -> None:
    plain = json.loads((result.output / "cross_validation.json").read_text())
    first, second = (part["accuracy"] for part in plain["folds"])
    assert plain["mean"]["accuracy"] == pytest.approx((first + second) / 2)
    # Of two numbers, the deviation is their distance over the root of two.
    assert plain["standard_deviation"]["accuracy"] == pytest.approx(abs(first - second) / 2**0.5)
    n = [part["n"] for part in plain["folds"]]
    whole = plain["out_of_fold"]
    assert whole["n"] == sum(n)
    assert whole["accuracy"] == pytest.approx((first * n[0] + second * n[1]) / sum(n))
    pooled = result.pooled
    f1 = f1_score(pooled.class_ids, pooled.predicted, average="macro")
    assert whole["macro_f1"] == pytest.approx(f1)
    low, high = whole["macro_f1_ci"]
    assert low <= whole["macro_f1"] <= high
    rows = list(csv.DictReader((result.output / "predictions.csv").read_text().splitlines()))
    hits = sum(row["label"] == row["predicted"] for row in rows)
    assert hits / len(rows) == pytest.approx(whole["accuracy"])


def test_other_values_and_used_folders_are_refused(result: CrossValidation, table: Path) -> None:
    with pytest.raises(ConfigError, match="--resume"):
        cross_validate(_recipe(table), result.output, folds=2)
    with pytest.raises(ConfigError, match=r"other values \(recipe\)"):
        cross_validate(_recipe(table, lr=0.05), result.output, folds=2, resume=True)
    with pytest.raises(ConfigError, match=r"other values \(folds\)"):
        cross_validate(_recipe(table), result.output, folds=3, resume=True)
    with pytest.raises(ConfigError, match="holds no cross-validation"):
        cross_validate(_recipe(table), table.parent, folds=2, resume=True)
    with pytest.raises(ConfigError, match="2 folds or more"):
        plan_folds(_recipe(table), folds=1)


@pytest.mark.slow
def test_a_killed_one_resumes_to_the_same_scores(
    result: CrossValidation, table: Path, tmp_path: Path
) -> None:
    output = tmp_path / "folds"
    recipe = _recipe(table)
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in recipe.to_dict().items()
             if value != getattr(TrainConfig(), key)]  # fmt: skip
    words = ["train", "-o", str(output), "--folds", "2", "-q", *flags]
    process = start(*words, log=tmp_path / "log")
    process.wait_for(output / "fold_2" / "args.yaml")
    process.kill()
    kept = (output / "fold_1" / "held_out.npz").stat().st_mtime_ns
    again = cross_validate(recipe, output, folds=2, resume=True, progress=False)
    assert (output / "fold_1" / "held_out.npz").stat().st_mtime_ns == kept
    assert np.allclose(again.pooled.probs, result.pooled.probs, atol=1e-4)


def test_damaged_faces_are_in_no_fold(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = _write(tmp_path)
    (tmp_path / "faces" / "p03_1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = cross_validate(_recipe(table, epochs=1), tmp_path / "runs", folds=2, progress=False)
    assert len(result.pooled.keys) == (PEOPLE - 1) * EACH  # with the copy, without the damaged one
    assert "faces/p03_1.png" not in result.pooled.keys
    assert "1 of 70 pictures cannot be read" in caplog.text
