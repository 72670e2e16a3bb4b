from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
timm = pytest.importorskip("timm")

import torch
from safetensors.torch import save_file

from mien import EmotionRecognizer
from mien.cli.sources import SAMPLE
from mien.hub import ModelConfig, ModelFolder, read_model_folder, write_config
from mien.hub.timm_layout import is_standalone, write_timm_layout
from mien.labels import HES3
from mien.models import create_model, model_spec

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def _faces(*, gray: bool) -> list[Image.Image]:
    photo = Image.open(SAMPLE).convert("L" if gray else "RGB").convert("RGB")
    boxes = [(176, 66, 273, 163), (160, 60, 290, 190), (200, 90, 260, 150), (0, 0, 200, 200)]
    return [photo.crop(box) for box in boxes]


def _timm_probs(place: Path, faces: list[Image.Image]) -> np.ndarray:
    model = timm.create_model(f"local-dir:{place}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    with torch.inference_mode():
        return model(torch.stack([transform(face) for face in faces])).softmax(1).numpy()


def _backbone(folder: Path) -> ModelFolder:
    """A network of timm with random weights on 64-pixel faces, as a model folder."""
    torch.manual_seed(0)
    name = "timm:resnet18"
    network = create_model(name, num_classes=3, in_channels=3)
    torch.nn.init.normal_(network.head.weight, std=0.2)
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    preprocessing = dataclasses.replace(model_spec(name).preprocessing, size=64)
    return write_config(folder, ModelConfig(name, "x", HES3, preprocessing, temperature=1.7))


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_timm_layout(read_model_folder(), tmp_path_factory.mktemp("layout") / "timm")


def test_backbone_of_timm_needs_no_mien(tmp_path: Path) -> None:
    folder = _backbone(tmp_path / "model")
    assert is_standalone(folder.config)
    place = write_timm_layout(folder, tmp_path / "timm")
    assert json.loads((place / "config.json").read_text())["architecture"] == "resnet18"
    assert "mien" not in json.loads((place / "config.json").read_text())
    recognizer = EmotionRecognizer(folder.path, backend="torch", detector="none")
    faces = _faces(gray=False)
    expected = recognizer.predict_faces(faces)
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(_timm_probs(place, faces), expected, atol=1e-4)


def test_pipeline_of_transformers_gives_the_same(bundled: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    pipeline = transformers.pipeline("image-classification", model=str(bundled), top_k=8)
    recognizer = EmotionRecognizer(detector="none")
    faces = _faces(gray=True)
    for face, expected in zip(faces, recognizer.predict_faces(faces), strict=True):
        found = {entry["label"]: entry["score"] for entry in pipeline(face)}
        assert [found[label] for label in recognizer.labels] == pytest.approx(expected, abs=1e-4)
