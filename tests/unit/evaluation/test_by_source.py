from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien import DataError
from mien.cli import main
from mien.data import read_manifest
from mien.evaluation import Evaluation
from mien.evaluation.groups import read_groups
from mien.reporting.text import source_rows
from support.faces import write_folder


def _evaluation() -> Evaluation:
    class_ids = np.array([0, 1, 1, 1])
    return Evaluation(
        model="m", data="d", split="valid", labels=("bad", "good"), keys=("a", "b", "c", "d"),
        class_ids=class_ids, targets=np.eye(2, dtype=np.float32)[class_ids],
        probs=np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.2, 0.8]]),
        leaked=np.zeros(4, bool), sources=np.array(["x", "x", "y", "y"]),
    )  # fmt: skip


def test_each_dataset_and_their_mean_by_hand() -> None:
    report = _evaluation().to_dict()
    assert list(report["sources"]) == ["x", "y"]
    assert [each["accuracy"] for each in report["sources"].values()] == [1.0, 0.5]
    assert [each["n"] for each in report["sources"].values()] == [2, 2]
    assert report["mean"]["accuracy"] == 0.75
    assert report["mean"]["macro_f1"] == pytest.approx((1 + 1 / 3) / 2)
    assert "n" not in report["mean"]
    rows = source_rows(report)
    assert [row[0] for row in rows] == ["x", "y", "mean"]
    assert rows[2][:3] == ["mean", "", "75.0 %"]
    json.dumps(report, allow_nan=False)


def test_one_dataset_keeps_its_keys() -> None:
    report = replace(_evaluation(), sources=None).to_dict()
    assert list(report) == [
        "accuracy", "accuracy_ci", "n", "macro_f1", "balanced_accuracy", "ece", "nll",
        "nll_labels", "per_class", "confusion", "deduplicated", "model", "data", "split",
    ]  # fmt: skip
    assert source_rows(report) == []


@pytest.fixture
def specs(tmp_path: Path) -> list[str]:
    one = write_folder(tmp_path / "one", 4)
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name},valid" for path in one.rglob("*.png")]
    (tmp_path / "faces.csv").write_text("file_name,label,split\n" + "\n".join(rows) + "\n")
    return [f"folder:{one}", f"csv:{tmp_path / 'faces.csv'},name=other"]


def test_evaluate_prints_a_table_by_dataset(
    specs: list[str], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", "-d", specs[0], "-d", specs[1], "-q"])
    shown = capsys.readouterr().out
    assert "other" in shown
    assert "mean" in shown
    # Every train face of the folder is a valid one of the table.
    assert "12 train pictures, such as folder/train/" in caplog.text


def test_one_dataset_is_one_only_where_one_is_meant(
    specs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["data", "split", "-d", specs[0], "-d", specs[1], "-o", str(tmp_path / "x.csv")])
    assert "are 2 datasets where one is read. Give them one by one" in capsys.readouterr().err


def test_groups_of_several_need_a_table(specs: list[str]) -> None:
    manifest = read_manifest(specs)
    with pytest.raises(DataError, match="--group-table"):
        read_groups(manifest, "age")
