from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mien import EmotionRecognizer
from mien.cli import main
from mien.data import read_manifest
from mien.evaluation import evaluate
from mien.evaluation.groups import by_group, permutation_test
from support.evaluation_groups import _evaluation


def test_real_difference_is_found_and_even_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    values = np.array(["young"] * 300 + ["old"] * 300 + ["few"] * 5 + [""] * 7)
    class_ids = rng.integers(0, 2, len(values))
    right = rng.random(len(values)) < np.where(values == "old", 0.65, 0.85)
    report = by_group(_evaluation(right, class_ids), values, "age")
    assert [group.name for group in report.groups] == ["old", "young"]
    assert report.left_out == {"": 7, "few": 5}
    assert report.p_value < 0.01
    best, worst, (low, _) = report.widest
    assert (best.name, worst.name) == ("young", "old")
    assert low > 0
    # Under no difference p-values are even: about one in twenty lies below 0.05.
    chances = [
        permutation_test(
            rng.random(120) < 0.8, rng.integers(0, 3, 120), rng.integers(0, 3, 120),
            permutations=99, seed=at,
        )[0]
        for at in range(200)
    ]  # fmt: skip
    assert 0.005 <= np.mean(np.array(chances) <= 0.05) <= 0.11


def test_command_prints_and_reports_groups(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(("evaluate", "-d", f"csv:{dataset / 'faces.csv'}", "--split", "train", *words))
        return int(stop.value.code or 0)

    assert run("--group-by", "hand", "--format", "json") == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    assert {group["group"] for group in groups["groups"]} == {"left", "right"}
    assert 0 < groups["p_value"] <= 1
    assert run("--group-by", "hand") == 0
    assert "widest gap" in " ".join(capsys.readouterr().out.split())
    assert run("--group-by", "foot") == 1
    assert "'foot'" in capsys.readouterr().err
    assert run("--group-table", "x.csv") == 2


def test_report_has_a_section_on_groups(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from mien.evaluation.page import write_report

    recognizer = EmotionRecognizer(detector="none")
    manifest = read_manifest(f"csv:{dataset / 'faces.csv'}")
    evaluation = evaluate(recognizer, manifest, split="train")
    values = np.resize(np.array(["<b>", "c"]), len(evaluation.keys))
    groups = by_group(evaluation, values, "kind", permutations=50)
    given = (evaluation, recognizer, manifest)
    text = write_report(tmp_path / "a.html", *given, groups=groups).read_text("utf-8")
    assert "Groups: kind" in text
    assert ">&lt;b&gt;</td>" in text
    assert "><b></td>" not in text
    assert "Groups:" not in write_report(tmp_path / "b.html", *given).read_text("utf-8")
