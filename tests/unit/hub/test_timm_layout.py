from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
timm = pytest.importorskip("timm")

import torch
from safetensors.torch import save_file

from mien import ConfigError, EmotionRecognizer, ModelError
from mien.cli.sources import SAMPLE
from mien.hub import ModelConfig, ModelFolder, read_model_folder, write_config
from mien.hub.timm_layout import write_timm_layout
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


def test_timm_gives_the_probabilities_of_mien(bundled: Path) -> None:
    recognizer = EmotionRecognizer(detector="none")
    gray = _faces(gray=True)
    expected = recognizer.predict_faces(gray)
    assert expected.max(axis=1).min() < 0.95  # not only faces that it is sure of
    np.testing.assert_allclose(_timm_probs(bundled, gray), expected, atol=1e-4)
    # timm scales colours, mien scales their gray: a level of rounding lies between them.
    color = _faces(gray=False)
    expected = recognizer.predict_faces(color)
    np.testing.assert_allclose(_timm_probs(bundled, color), expected, atol=2e-2)


def test_nothing_is_overwritten_and_wrong_weights_are_refused(
    bundled: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="exists"):
        write_timm_layout(read_model_folder(), bundled)
    folder = _backbone(tmp_path / "model")
    (folder.path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError):
        write_timm_layout(folder, tmp_path / "timm")
    assert not (tmp_path / "timm").exists()


def test_layout_that_answers_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _backbone(tmp_path / "model")
    from mien.hub import timm_layout

    def corrupted(config: ModelConfig, network: torch.nn.Module) -> object:
        values, state = timm_layout._as_mien_face(config, network)
        values["model_args"]["temperature"] = 9.0
        return values, state

    monkeypatch.setattr(timm_layout, "_as_timm", corrupted)
    with pytest.raises(ModelError, match="other probabilities"):
        write_timm_layout(folder, tmp_path / "timm")
    assert not (tmp_path / "timm").exists()
