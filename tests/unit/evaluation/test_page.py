from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

from mien import EmotionRecognizer
from mien.data import Manifest, read_manifest
from mien.evaluation import Evaluation, evaluate
from mien.evaluation import plots as p
from mien.evaluation.page import write_report
from mien.evaluation.robustness import robustness
from mien.reporting import render
from mien.reporting.theme import DARK, LIGHT


@pytest.fixture(scope="module")
def parts(trained: Path) -> tuple[EmotionRecognizer, Manifest, Evaluation]:
    recognizer = EmotionRecognizer(trained, detector="none")
    manifest = read_manifest(f"folder:{trained.parent / 'faces'}")
    return recognizer, manifest, evaluate(recognizer, manifest)


@pytest.fixture(scope="module")
def report(
    parts: tuple[EmotionRecognizer, Manifest, Evaluation], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    recognizer, manifest, evaluation = parts
    other = evaluate(EmotionRecognizer(detector="none"), manifest)
    rows = robustness(recognizer, manifest, faces=12)
    target = tmp_path_factory.mktemp("report") / "r"
    return write_report(target, evaluation, recognizer, manifest, rows=rows, other=other)


def test_hostile_names_are_escaped() -> None:
    tables = [("", ["<i>"], [["<img src=x>"]])]
    text = render("tables.html", title="<script>x</script>", subtitle="a & b", tables=tables)
    assert "<script>" not in text
    assert "<img" not in text
    assert "a &amp; b" in text


def _small(probs: list[list[float]], class_ids: list[int]) -> Evaluation:
    ids = np.array(class_ids)
    return Evaluation(
        model="m", data="d", split="valid", labels=("joy", "fear"),
        keys=tuple(str(index) for index in range(len(ids))), class_ids=ids,
        targets=np.eye(2, dtype=np.float32)[ids], probs=np.array(probs),
        leaked=np.zeros(len(ids), bool),
    )  # fmt: skip


def _legend(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_curves_carry_the_right_areas() -> None:
    evaluation = _small([[0.9, 0.1], [0.4, 0.6], [0.35, 0.65], [0.2, 0.8]], [0, 1, 0, 1])
    # Of the 2 x 2 pairs of a joy and a fear, three are in the right order.
    assert _legend(p.plot_roc(evaluation, LIGHT)) == ["joy  0.750", "fear  0.750"]
    # By falling p(joy): joy, fear, joy, fear, so precision 1 at recall 1/2 and 2/3 at 1.
    joy = 0.5 * 1 + 0.5 * 2 / 3
    assert _legend(p.plot_precision_recall(evaluation, DARK))[0] == f"joy  {joy:.3f}"


def test_confusion_shows_counts_and_percent() -> None:
    evaluation = _small([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.2, 0.8]], [0, 0, 1, 1])
    for normalised, expected in ((True, ["50"] * 4), (False, ["1"] * 4)):
        figure = p.plot_confusion(evaluation, LIGHT, normalised=normalised)
        assert [text.get_text() for text in figure.axes[0].texts] == expected
