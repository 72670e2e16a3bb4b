"""Every kind of registered network: trains, exports with parity, and is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("pytorch_grad_cam")

from mien import EmotionRecognizer, ModelError
from mien.backends import open_backend
from mien.explanation import explain, explain_crops, read_image
from mien.explanation.methods import choose_method, run_batch
from mien.exporting.onnx import PARITY, export_onnx, save_weights
from mien.hub import ModelConfig, ModelFolder, write_config
from mien.labels import LabelSchema
from mien.models import create_model, list_models, model_spec
from mien.preprocess import normalize
from support.faces import LABELS, draw_face

#: Options that make a network small enough to train and export in a second or two.
SMALL: dict[str, dict[str, Any]] = {
    "mobilenet_v2": {"width": 0.25},
    "vit_small": {"depth": 2, "dim": 96},
    "vit_tiny": {"depth": 2, "dim": 48},
    **{name: {"width": 0.125} for name in ("resnet18", "resnet34")},
    **{name: {"width": 0.125} for name in ("vgg11", "vgg13", "vgg16")},
}
TRANSFORMERS = {"vit_tiny"}
LARGE = ("efficientnet_b0", "inception")
#: Steps and rate where 12 steps at 0.001 are too few: attention has to find the mouth first, and
#: residual blocks start out saying nothing. Two that are large and cannot be made small get half of
#: the steps, with half of the faces.
STEPS = {
    **dict.fromkeys(LARGE, (6, 1e-3)),
    **dict.fromkeys(TRANSFORMERS, (80, 3e-3)),
    **dict.fromkeys(("mienet_test", "resnet18"), (30, 3e-3)),
}
#: The same blocks as another, and more of them: only built.
LARGER = {"mienet_s", "resnet34", "vgg13", "vgg16", "vit_small"}
#: Networks of which no class-activation map follows from the last layer.
NO_CAM = TRANSFORMERS | {"alexnet", "lenet", "vgg11"}


@dataclass(frozen=True)
class Trained:
    """A network after a few steps, exported, and its losses."""

    name: str
    folder: ModelFolder
    losses: list[float]
    difference: float


def _faces(per_class: int, first: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = [
        [np.asarray(draw_face(label, first + seed)) for seed in range(per_class)]
        for label in LABELS
    ]
    return np.concatenate(drawn)[..., None], np.repeat(np.arange(len(LABELS)), per_class)


@pytest.fixture(scope="module", params=sorted(set(list_models()) - LARGER))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    name, path = request.param, tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    spec, options = model_spec(name), {**SMALL.get(name, {}), "dropout": 0.0}
    network = create_model(name, num_classes=3, **options)
    crops, classes = _faces(4 if name in LARGE else 8, 100)
    x = torch.from_numpy(normalize(crops, spec.preprocessing))
    target = torch.from_numpy(classes)
    steps, lr = STEPS.get(name, (12, 1e-3))
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    schema = LabelSchema("drawn", LABELS)
    config = ModelConfig(name, "drawn", schema, spec.preprocessing, model_args=options)
    network.eval()
    save_weights(network, path / "model.safetensors")
    difference = export_onnx(network, path / "model.onnx", config)
    return Trained(name, write_config(path, config), losses, difference)


def test_loss_falls_within_a_few_steps(trained: Trained) -> None:
    assert np.isfinite(trained.losses).all()
    assert np.mean(trained.losses[-3:]) < 0.8 * trained.losses[0]


def test_onnx_agrees_with_torch(trained: Trained) -> None:
    assert trained.difference <= PARITY
    batch = normalize(_faces(5, 900)[0], trained.folder.config.preprocessing)
    one, two = (
        open_backend(trained.folder, engine).run(batch, features=True)
        for engine in ("onnx", "torch")
    )
    assert one.logits == pytest.approx(two.logits, abs=1e-4)
    assert one.features is not None
    assert one.features == pytest.approx(two.features, abs=1e-3)
    assert (
        one.features.shape[1]
        == create_model(
            trained.name, num_classes=3, **trained.folder.config.model_args
        ).num_features
    )


def test_photo_is_explained_by_the_method_that_fits(trained: Trained) -> None:
    recognizer = EmotionRecognizer(trained.folder.path, detector="none")
    photo = np.repeat(_faces(1, 500)[0][0], 3, axis=2)
    read = read_image(recognizer, photo)
    expected = "gradcam" if trained.name in NO_CAM else "cam"
    expected = "rollout" if trained.name in TRANSFORMERS else expected
    assert choose_method(recognizer, read.batch).name == expected
    for method in (None, "gradcam", "occlusion"):
        maps = read.maps(recognizer, method=method)
        assert maps.shape[0] == 1
        assert np.isfinite(maps).all()
        assert maps.min() >= 0
        assert explain(photo, recognizer, method=method).image_rgb.shape == photo.shape
    assert explain_crops(recognizer, read.batch.crops, method="gradcam").std() > 0.01


def test_methods_that_do_not_fit_are_refused_and_others_named(trained: Trained) -> None:
    recognizer = EmotionRecognizer(trained.folder.path, detector="none")
    crops = _faces(1, 500)[0]
    if trained.name in NO_CAM:
        with pytest.raises(ModelError, match=r"--method gradcam.*--method occlusion"):
            explain_crops(recognizer, crops, method="cam")
    else:
        assert explain_crops(recognizer, crops, method="cam").any()
    if trained.name in TRANSFORMERS:
        assert explain_crops(recognizer, crops, method="rollout").any()
    else:
        with pytest.raises(ModelError, match=r"no attention.*--method gradcam"):
            explain_crops(recognizer, crops, method="rollout")


def test_without_torch_the_default_is_occlusion(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = EmotionRecognizer(trained.folder.path, detector="none")
    batch = run_batch(recognizer, _faces(1, 500)[0])
    monkeypatch.setattr("mien.explanation.methods.importlib.util.find_spec", lambda name: None)
    expected = "occlusion" if trained.name in NO_CAM else "cam"
    assert choose_method(recognizer, batch).name == expected


@pytest.mark.parametrize("name", list_models())
def test_sizes_and_channels(name: str) -> None:
    options = SMALL.get(name, {})
    for channels in (1, 3):
        network: Any = create_model(name, num_classes=5, in_channels=channels, **options).eval()
        sides = set()
        for size in (48, 72):
            x = torch.randn(2, channels, size, size)
            with torch.no_grad():
                features, logits = network.forward_features(x), network(x)
            assert features.shape[:2] == (2, network.num_features)
            assert features.shape[2] == features.shape[3] > 2
            assert logits.shape == (2, 5)
            assert torch.isfinite(logits).all()
            sides.add(features.shape[2])
        assert len(sides) == 2
        assert isinstance(network.head, torch.nn.Linear)
        assert network.head.out_features == 5
