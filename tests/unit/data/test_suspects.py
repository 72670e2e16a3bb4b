"""Pictures without a face and labels that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.cli.sources import SAMPLE
from mien.data.inspection import inspect_data, open_for_inspection
from mien.data.inspection.run import InspectConfig
from mien.data.inspection.suspects import face_features, faceless
from mien.detectors import DEFAULT_DETECTOR, Detections, Detector
from support.data_inspection import found_first, write_two_labels
from support.faces import Draw


def test_features_have_a_row_a_face(tmp_path: Path, draw: Draw) -> None:
    manifest, _ = open_for_inspection(f"folder:{write_two_labels(tmp_path, draw, 3)}")
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
    assert found_first(inspection, "no_face") == ["sad/slope.png"]
    assert found_first(inspect_data(f"folder:{tmp_path}"), "no_face") == []


def test_a_detector_that_fails_is_told(tmp_path: Path, draw: Draw) -> None:
    class Failing(Detector):
        name = "failing"

        def detect(self, image_rgb: np.ndarray, **options: Any) -> Detections:
            raise ValueError("no model")

    write_two_labels(tmp_path, draw, 1)
    manifest, _ = open_for_inspection(f"folder:{tmp_path}")
    (item,) = faceless(manifest, np.ones(len(manifest), bool), Failing())
    assert item.title == "2 pictures in which 'failing' finds no face"
    assert item.details == ("not searched: failed with ValueError: no model",) * 2
