"""Pictures without a face and labels that do not fit."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from mien.data.inspection import open_for_inspection
from mien.data.inspection.suspects import suspicious_labels
from support.faces import Draw

pytest.importorskip("sklearn")


def write(root: Path, draw: Draw, count: int) -> Path:
    for at, (folder, label) in enumerate((("happy", "happiness"), ("sad", "sadness"))):
        (root / folder).mkdir(parents=True)
        for index in range(count):
            draw(label, 1000 * at + index, 48).save(root / folder / f"{index}.png")
    return root


def test_planted_wrong_labels_are_found(tmp_path: Path, draw: Draw) -> None:
    pytest.importorskip("cleanlab")
    manifest, _ = open_for_inspection(f"folder:{write(tmp_path, draw, 60)}")
    rng = np.random.default_rng(0)
    truth = manifest.class_ids
    features = rng.normal(0, 1, (len(manifest), 12)).astype(np.float32)
    features[:, 0] += 12 * truth
    wrong = np.array([3, 17, 70, 101])
    given = truth.copy()
    classes = np.unique(truth)
    given[wrong] = np.where(truth[wrong] == classes[0], classes[1], classes[0])
    data = dataclasses.replace(manifest, class_ids=given)
    (finding,) = suspicious_labels(data, features, np.arange(len(data)))
    assert {group[0] for group in finding.groups} == set(wrong.tolist())
    assert finding.level == "note"
    assert re.fullmatch(r"(\w+) \(p = 0\.[0-4]\d\), perhaps (?!\1)\w+ \(.*", finding.details[0])
    assert suspicious_labels(manifest, features, np.arange(len(data))) == []
