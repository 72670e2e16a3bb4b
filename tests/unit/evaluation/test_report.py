from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from mien import DataError, EmotionRecognizer
from mien.cli import main
from mien.data import read_manifest
from mien.evaluation import Evaluation, evaluate
from mien.metrics import wilson_interval


def _evaluation(leaked: list[bool]) -> Evaluation:
    probs = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.2, 0.8]])
    class_ids = np.array([0, 1, 1, 1])
    return Evaluation(
        model="m", data="d", split="valid", labels=("bad", "good"), keys=("a", "b", "c", "d"),
        class_ids=class_ids, targets=np.eye(2, dtype=np.float32)[class_ids], probs=probs,
        leaked=np.array(leaked),
    )  # fmt: skip


def test_numbers_by_hand() -> None:
    report = _evaluation([False] * 4).to_dict()
    assert report["accuracy"] == 0.75
    assert report["accuracy_ci"] == list(wilson_interval(3, 4))
    assert report["n"] == 4
    assert report["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert report["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert report["nll"] == pytest.approx(-np.log([0.9, 0.6, 0.3, 0.8]).mean())
    assert report["nll_labels"] == pytest.approx(report["nll"])
    assert report["per_class"]["good"]["recall"] == pytest.approx(2 / 3)
    assert report["per_class"]["bad"]["precision"] == 0.5
    assert report["confusion"]["counts"] == [[1, 0], [1, 2]]
    assert report["deduplicated"] is None
    json.dumps(report, allow_nan=False)


def test_copies_of_train_faces_are_reported_apart() -> None:
    clean = _evaluation([False, False, True, False]).to_dict()["deduplicated"]
    assert (clean["n"], clean["accuracy"]) == (3, 1.0)


def test_predictions_csv_holds_every_face() -> None:
    rows = list(csv.DictReader(io.StringIO(_evaluation([False] * 4).predictions_csv())))
    assert [row["predicted"] for row in rows] == ["bad", "good", "bad", "good"]
    assert float(rows[2]["p_good"]) == pytest.approx(0.3)


def test_missing_split_is_refused(tmp_path: Path) -> None:
    from support.faces import write_folder

    manifest = read_manifest(f"folder:{write_folder(tmp_path / 'faces', 4)}")
    with pytest.raises(DataError, match="test"):
        evaluate(EmotionRecognizer(detector="none"), manifest, split="test")


def test_model_answers_in_the_schema_of_the_data(tmp_path: Path) -> None:
    from support.faces import write_folder

    manifest = read_manifest(f"folder:{write_folder(tmp_path / 'faces', 8)}")
    evaluation = evaluate(EmotionRecognizer(detector="none"), manifest)
    assert evaluation.labels == manifest.schema.labels
    assert evaluation.probs.sum(axis=1) == pytest.approx(np.ones(len(evaluation.keys)))


def test_recording_needs_a_model_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "-d", "folder:.", "--record"])
    assert ended.value.code == 2
    assert "--model" in capsys.readouterr().err


def test_damaged_faces_are_counted_and_named_and_the_rest_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from support.faces import write_folder

    root = write_folder(tmp_path / "faces", 6)
    whole = evaluate(EmotionRecognizer(detector="none"), f"folder:{root}")
    bad = [min((root / "valid" / label).iterdir()) for label in ("sadness", "neutral")]
    for path, content in zip(bad, (b"", b"<html>"), strict=True):
        path.write_bytes(content)
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "-d", f"folder:{root}", "--format", "json", "-o", str(out)])
    assert stop.value.code == 1
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["n"] == whole.scores()["n"] - 2
    assert report["unreadable"] == [str(path.relative_to(root)) for path in sorted(bad)]
    assert json.loads((out / "evaluation.json").read_text()) == report
    n = whole.scores()["n"]
    assert f"error: 2 of {n} valid pictures could not be read" in printed.err
    said = caplog.text + printed.err
    assert f"2 of {n} valid pictures cannot be read" in said
    assert f"mien data inspect -d folder:{root}" in said
    keep = np.isin(whole.keys, report["unreadable"], invert=True)
    again = evaluate(EmotionRecognizer(detector="none"), f"folder:{root}")
    assert again.probs == pytest.approx(whole.probs[keep], abs=1e-4)
    for path in (root / "valid").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        evaluate(EmotionRecognizer(detector="none"), f"folder:{root}")
