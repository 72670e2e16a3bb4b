from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
timm = pytest.importorskip("timm")


from mien import EmotionRecognizer
from mien.hub.timm_layout import is_standalone, write_timm_layout
from support.hub_timm_layout import _faces, backbone, timm_probs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def test_backbone_of_timm_needs_no_mien(tmp_path: Path) -> None:
    folder = backbone(tmp_path / "model")
    assert is_standalone(folder.config)
    place = write_timm_layout(folder, tmp_path / "timm")
    assert json.loads((place / "config.json").read_text())["architecture"] == "resnet18"
    assert "mien" not in json.loads((place / "config.json").read_text())
    recognizer = EmotionRecognizer(folder.path, backend="torch", detector="none")
    faces = _faces(gray=False)
    expected = recognizer.predict_faces(faces)
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(timm_probs(place, faces), expected, atol=1e-4)


def test_pipeline_of_transformers_gives_the_same(bundled: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    pipeline = transformers.pipeline("image-classification", model=str(bundled), top_k=8)
    recognizer = EmotionRecognizer(detector="none", backend="torch")  # model.onnx is int8
    faces = _faces(gray=True)
    for face, expected in zip(faces, recognizer.predict_faces(faces), strict=True):
        found = {entry["label"]: entry["score"] for entry in pipeline(face)}
        assert [found[label] for label in recognizer.labels] == pytest.approx(expected, abs=1e-4)
