"""Pictures without a face and labels that do not fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.cli.sources import SAMPLE
from mien.data.inspection import Inspection, inspect_data, open_for_inspection
from mien.data.inspection.run import InspectConfig
from mien.data.inspection.suspects import face_features, faceless, suspicious_labels
from mien.detectors import DEFAULT_DETECTOR, Detections, Detector
from support.faces import Draw

pytest.importorskip("sklearn")


def write(root: Path, draw: Draw, count: int) -> Path:
    for at, (folder, label) in enumerate((("happy", "happiness"), ("sad", "sadness"))):
        (root / folder).mkdir(parents=True)
        for index in range(count):
            draw(label, 1000 * at + index, 48).save(root / folder / f"{index}.png")
    return root


def kinds(inspection: Inspection, kind: str) -> list[str]:
    item = next((item for item in inspection.findings if item.kind == kind), None)
    return [] if item is None else [inspection.keys(group)[0] for group in item.groups]


def test_copies_of_a_wrong_label_do_not_vouch_for_it(tmp_path: Path, draw: Draw) -> None:
    """With a copy in another fold a classifier would learn the wrong label by heart."""
    pytest.importorskip("cleanlab")
    manifest, _ = open_for_inspection(f"folder:{write(tmp_path, draw, 40)}")
    rng = np.random.default_rng(1)
    features = rng.normal(0, 0.5, (80, 400)).astype(np.float32)
    features[:, 0] += 4 * manifest.class_ids
    given = manifest.class_ids.copy()
    given[:5] = given[79]
    features[:5] = features[0]
    data = dataclasses.replace(manifest, class_ids=given)
    groups = np.arange(80)
    groups[:5] = 0
    (finding,) = suspicious_labels(data, features, groups)
    assert {group[0] for group in finding.groups} >= set(range(5))


def test_labels_are_judged_by_the_models_features(tmp_path: Path, draw: Draw) -> None:
    pytest.importorskip("cleanlab")
    from support.faces import draw_face

    for at, (folder, label) in enumerate((("happy", "happiness"), ("sad", "sadness"))):
        (tmp_path / folder).mkdir()
        for index in range(40):
            draw_face(label, 1000 * at + index, 48).save(tmp_path / folder / f"{index}.png")
    wrong = []
    for index in range(3):
        draw_face("happiness", 9_000 + index, 48).save(tmp_path / f"sad/wrong{index}.png")
        wrong.append(f"sad/wrong{index}.png")
    (tmp_path / "sad/broken.png").write_bytes(b"no picture")
    steps = []

    class Bar(AbstractContextManager[Callable[[int], None]]):
        def __init__(self, what: str, total: int | None) -> None:
            self.what, self.total = what, total

        def __enter__(self) -> Callable[[int], None]:
            return lambda done: steps.append((self.what, done))

        def __exit__(self, *_: object) -> None:
            return None

    inspection = inspect_data(f"folder:{tmp_path}", InspectConfig(suspects=True), bars=Bar)
    found = kinds(inspection, "suspicious_label")
    assert set(wrong) <= set(found)
    assert len(found) <= 8
    assert sum(done for what, done in steps if what == "read pictures") == 84
    assert sum(done for what, done in steps if what == "read expressions") == 83


def test_features_have_a_row_a_face(tmp_path: Path, draw: Draw) -> None:
    manifest, _ = open_for_inspection(f"folder:{write(tmp_path, draw, 3)}")
    features = face_features(manifest)
    assert features.shape[0] == 6
    assert features.shape[1] > 8
    assert features.dtype == np.float32


def test_pictures_without_a_face(tmp_path: Path) -> None:
    for folder in ("happy", "sad"):
        (tmp_path / folder).mkdir()
    with Image.open(SAMPLE) as photo:
        photo.save(tmp_path / "happy/astronaut.png")
    slope = np.linspace(0, 255, 200 * 200).reshape(200, 200).astype(np.uint8)
    Image.fromarray(slope).save(tmp_path / "sad/slope.png")
    inspection = inspect_data(f"folder:{tmp_path}", InspectConfig(faces=DEFAULT_DETECTOR))
    assert kinds(inspection, "no_face") == ["sad/slope.png"]
    assert kinds(inspect_data(f"folder:{tmp_path}"), "no_face") == []


def test_a_detector_that_fails_is_told(tmp_path: Path, draw: Draw) -> None:
    class Failing(Detector):
        name = "failing"

        def detect(self, image_rgb: np.ndarray, **options: Any) -> Detections:
            raise ValueError("no model")

    write(tmp_path, draw, 1)
    manifest, _ = open_for_inspection(f"folder:{tmp_path}")
    (item,) = faceless(manifest, np.ones(len(manifest), bool), Failing())
    assert item.title == "2 pictures in which 'failing' finds no face"
    assert item.details == ("not searched: failed with ValueError: no model",) * 2
