"""What the tests of page share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien import EmotionRecognizer
from mien.data import Manifest, read_manifest
from mien.evaluation import Evaluation, evaluate
from mien.evaluation.page import write_report
from mien.evaluation.robustness import robustness


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


def small(probs: list[list[float]], class_ids: list[int]) -> Evaluation:
    ids = np.array(class_ids)
    return Evaluation(
        model="m", data="d", split="valid", labels=("joy", "fear"),
        keys=tuple(str(index) for index in range(len(ids))), class_ids=ids,
        targets=np.eye(2, dtype=np.float32)[ids], probs=np.array(probs),
        leaked=np.zeros(len(ids), bool),
    )  # fmt: skip
