from __future__ import annotations

from pathlib import Path

import numpy as np

from mien import EmotionRecognizer
from mien.data import read_manifest
from mien.data.faces import load_faces
from mien.evaluation.robustness import (
    CLEAN,
    CONDITIONS,
    robustness,
)


def test_rows_hold_what_the_model_gets_right(trained: Path) -> None:
    manifest = read_manifest(f"folder:{trained.parent / 'faces'}")
    recognizer = EmotionRecognizer(trained, detector="none")
    steps: list[int] = []
    rows = robustness(recognizer, manifest, faces=48, progress=steps.append)
    assert sum(steps) == len(rows) == CONDITIONS
    assert {row.n for row in rows} == {48}
    part = manifest.split("valid").with_labels()
    chosen = part.select(np.sort(np.random.default_rng(0).permutation(len(part))[:48]))
    faces = load_faces(chosen, recognizer.config.preprocessing)
    hits = (recognizer.pipeline.logits(faces).argmax(axis=1) == chosen.class_ids).sum()
    assert (rows[0].condition, rows[0].hits) == (CLEAN, hits)
    worst = min(row.hits for row in rows if row.severity == 5)
    assert worst < rows[0].hits
    report = rows[0].to_dict()
    assert report["accuracy"] == hits / 48
    assert report["accuracy_ci"][0] < report["accuracy"] <= report["accuracy_ci"][1]
