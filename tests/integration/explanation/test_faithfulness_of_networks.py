"""Maps of networks without a pooled end, where it is known which place decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_grad_cam")

from mien import EmotionRecognizer
from mien.explanation import explain_crops
from mien.explanation.faithfulness import blurred, random_maps, replace_marked
from mien.exporting.onnx import export_onnx, save_weights
from mien.hub import ModelConfig, write_config
from mien.labels import LabelSchema
from mien.models import create_model, model_spec
from mien.preprocess import normalize

#: Side of the patch that tells the class, its rows and columns, and the share of the face.
SIDE = 12
SHARE = SIDE * SIDE / 48**2
SCHEMA = LabelSchema("stripes", ("level", "upright", "none"))
NETWORKS: dict[str, dict[str, Any]] = {
    "lenet": {},
    "vit_tiny": {"depth": 2, "dim": 48},
}


def _faces(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise with a patch of level, upright or no stripes: crops, classes, corners (N, 2)."""
    rng = np.random.default_rng(seed)
    crops = rng.normal(128, 25, (count, 48, 48)).clip(0, 255)
    classes, corners = rng.integers(0, 3, count), rng.integers(0, 4, (count, 2)) * SIDE
    wave = np.where(np.arange(SIDE) % 6 < 3, 40.0, 215.0)
    for crop, class_id, (top, left) in zip(crops, classes, corners, strict=True):
        if class_id < 2:
            stripes = np.broadcast_to(wave[:, None], (SIDE, SIDE))
            crop[top : top + SIDE, left : left + SIDE] = stripes if class_id == 0 else stripes.T
    return crops.astype(np.uint8)[..., None], classes, corners


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def recognizer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> EmotionRecognizer:
    """A network that learned the stripes for some seconds."""
    name, path = request.param, tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    p, options = model_spec(name).preprocessing, {**NETWORKS[name], "dropout": 0.0}
    network = create_model(name, num_classes=3, **options)
    crops, classes, _ = _faces(1024, 1)
    x, target = torch.from_numpy(normalize(crops, p)), torch.from_numpy(classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for _ in range(20):
        losses = []
        for part in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(x[part]), target[part])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if np.mean(losses) < 0.05:
            break
    network.eval()
    config = ModelConfig(name, "stripes", SCHEMA, p, model_args=options)
    save_weights(network, path / "model.safetensors")
    export_onnx(network, path / "model.onnx", config)
    write_config(path, config)
    return EmotionRecognizer(path, detector="none")


def _methods(recognizer: EmotionRecognizer) -> list[str]:
    # Grad-CAM and its kin fail here on a Vision Transformer, which is why rollout is its default.
    # LeNet stands for those whose last maps are not pooled: of AlexNet, the same tests take ten
    # times as long, and HiResCAM marks coarsely there (6 x 6 cells, 0.09 to 0.18 above chance, by
    # machine). That it is computed right is tested against the library's.
    attends = recognizer.config.architecture == "vit_tiny"
    return ["occlusion", "rollout"] if attends else ["occlusion", "gradcam"]


def test_marked_places_matter_more_than_random_ones_and_lie_on_the_evidence(
    recognizer: EmotionRecognizer,
) -> None:
    crops, classes, corners = _faces(90, 2)
    striped = classes < 2
    crops, classes, corners = crops[striped], classes[striped], corners[striped]
    rows = np.arange(len(crops))
    probs = recognizer.pipeline.probs(recognizer.pipeline.logits(crops))
    assert (probs.argmax(axis=1) == classes).mean() > 0.9  # or there is nothing to explain

    def falls(maps: np.ndarray) -> np.ndarray:
        deleted = replace_marked(crops, blurred(crops), maps, 2 * SHARE)
        after = recognizer.pipeline.probs(recognizer.pipeline.logits(deleted))
        fallen: np.ndarray = probs[rows, classes] - after[rows, classes]
        return fallen

    chance = np.mean([falls(random_maps(len(crops), 48, seed=s)) for s in range(3)], axis=0)
    for method in _methods(recognizer):
        maps = explain_crops(recognizer, crops, label=classes, method=method)
        gain = falls(maps) - chance
        assert gain.mean() > 0.2, method
        assert gain.mean() > 4 * gain.std(ddof=1) / len(gain) ** 0.5, method
        inside = [
            heat[top : top + SIDE, left : left + SIDE].sum() / heat.sum()
            for heat, (top, left) in zip(maps, corners, strict=True)
            if heat.any()
        ]
        assert np.mean(inside) > 2 * SHARE, method
