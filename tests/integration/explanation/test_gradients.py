from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pytorch_grad_cam")

from mien import EmotionRecognizer
from mien.backends.torch import load_network
from mien.cli.sources import SAMPLE
from mien.explanation import METHODS, explain, explain_crops, read_image
from mien.hub import ModelConfig, ModelFolder, read_model_folder, write_config
from mien.labels import FERPLUS8
from mien.models import create_model, model_spec
from support.faces import LABELS, draw_face


def _crops(count: int = 4) -> np.ndarray:
    faces = [draw_face(label, 500 + seed) for label in LABELS for seed in range(count)]
    drawn = np.stack([np.asarray(face) for face in faces])[..., None]
    photo = read_image(EmotionRecognizer(), SAMPLE).batch.crops
    return np.concatenate([photo, drawn])


def _correlations(first: np.ndarray, second: np.ndarray) -> list[float]:
    return [
        float(np.corrcoef(one.ravel(), two.ravel())[0, 1])
        for one, two in zip(first, second, strict=True)
        if one.any() or two.any()
    ]


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
@pytest.mark.parametrize("which", ["bundled", "trained"])
@pytest.mark.parametrize("label", [None, "sadness", "neutral"])
def test_light_map_agrees_with_grad_cam(
    method: str, which: str, label: str | None, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue("trained") if which == "trained" else None
    recognizer = EmotionRecognizer(model, detector="none")
    crops = _crops()
    light = explain_crops(recognizer, crops, label=label)
    found = _correlations(light, explain_crops(recognizer, crops, label=label, method=method))
    assert len(found) >= 8
    # The bundled network is int8 in ONNX Runtime and float32 in torch: flat maps differ a little.
    assert np.median(found) >= 0.98
    assert min(found) >= (0.98 if which == "trained" else 0.7)


def test_light_map_of_joined_classes_agrees_with_grad_cam() -> None:
    recognizer = EmotionRecognizer(detector="none", labels="fer7")
    crops = _crops()
    light = explain_crops(recognizer, crops, label="anger")
    heavy = explain_crops(recognizer, crops, label="anger", method="gradcam")
    found = _correlations(light, heavy)
    assert np.median(found) >= 0.98
    assert min(found) >= 0.7


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"rollout"}))
def test_every_method_gives_maps(method: str, trained: Path) -> None:
    recognizer = EmotionRecognizer(trained, detector="none")
    maps = explain_crops(recognizer, _crops(1), method=method)
    assert maps.shape == (4, 48, 48)
    assert maps.min() >= 0
    assert maps.max(axis=(1, 2)) == pytest.approx(np.ones(4))
    assert maps.std(axis=(1, 2)).min() > 0.01


@pytest.mark.parametrize("name", ["cnn_simple", "mienet_test", "resnet18"])
def test_light_map_of_other_pooled_networks_agrees_with_grad_cam(name: str, tmp_path: Path) -> None:
    import torch

    from mien.exporting.onnx import export_onnx, save_weights

    torch.manual_seed(0)
    options: dict[str, Any] = {"width": 0.25} if name == "resnet18" else {}
    network = create_model(name, num_classes=8, **options).eval()
    config = ModelConfig(
        name, "random", FERPLUS8, model_spec(name).preprocessing, model_args=options
    )
    save_weights(network, tmp_path / "model.safetensors")
    export_onnx(network, tmp_path / "model.onnx", config)
    write_config(tmp_path, config)
    size, channels = config.preprocessing.size, config.preprocessing.channels
    crops = np.random.default_rng(0).integers(0, 255, (3, size, size, channels)).astype(np.uint8)
    recognizer = EmotionRecognizer(tmp_path, detector="none")
    heavy = explain_crops(recognizer, crops, method="gradcam")
    assert heavy.any()
    assert min(_correlations(explain_crops(recognizer, crops), heavy)) >= 0.98


@pytest.mark.parametrize("method", ["gradcam", "scorecam"])
def test_output_of_the_process_stays_where_it_is(
    method: str, trained: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import sys

    from mien.backends import torch as torch_backend

    before, seen, load = sys.stderr, [], torch_backend.load_network

    def watched(folder: ModelFolder) -> object:
        network: Any = load(folder)
        network.register_forward_pre_hook(lambda *_: seen.append(sys.stderr))
        network.head.register_forward_pre_hook(lambda *_: seen.append(sys.stderr))
        return network

    monkeypatch.setattr(torch_backend, "load_network", watched)
    explain_crops(EmotionRecognizer(trained, detector="none"), _crops(1), method=method)
    assert seen
    assert all(stream is before for stream in seen), "other threads write there, too"
    assert capfd.readouterr().err == ""


def test_own_score_cam_gives_the_library_s_maps(trained: Path) -> None:
    import pytorch_grad_cam

    from mien.explanation.gradients import _target, quiet_score_cam, tapped_network

    torch = pytest.importorskip("torch")
    folder = read_model_folder(trained)
    network, tap = tapped_network(load_network(folder))
    faces = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    targets = [_target(row) for row in np.eye(len(folder.config.schema))[:2]]
    expected = pytorch_grad_cam.ScoreCAM(network, [tap])(faces, targets)
    assert quiet_score_cam()(network, [tap])(faces, targets) == pytest.approx(expected, abs=1e-5)


def test_torch_methods_work_on_photos() -> None:
    explanation = explain(SAMPLE, method="gradcam++")
    assert (explanation.image_rgb != read_image(EmotionRecognizer(), SAMPLE).image_rgb).any()
    assert explanation.result.faces[0].emotion == "happiness"
