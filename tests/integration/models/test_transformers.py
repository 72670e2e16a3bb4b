"""Networks in the layout of transformers or timm start a training, and outlive their folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")

from mien.errors import ConfigError, ModelError
from mien.models import model_spec
from mien.models.transformers_backbones import TYPES, _open_folder
from mien.recognizer import EmotionRecognizer
from mien.training.config import TrainConfig
from mien.training.network import build_network, trained_spec
from mien.training.stages import stage_names
from support.faces import write_folder

_TINY = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "patch_size": 8}
_TINY |= {"intermediate_size": 64, "image_size": 48}
_MAPS = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
_MOBILE = {"depth_multiplier": 0.25, "image_size": 48}
_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "convnext": ("ConvNext", _MAPS),
    "convnextv2": ("ConvNextV2", _MAPS),
    "deit": ("DeiT", _TINY),
    "efficientnet": (
        "EfficientNet",
        {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320, "image_size": 48},
    ),
    "mobilenet_v1": ("MobileNetV1", _MOBILE),
    "mobilenet_v2": ("MobileNetV2", _MOBILE),
    "regnet": ("RegNet", {**_MAPS, "embedding_size": 8, "groups_width": 8}),
    "resnet": ("ResNet", {**_MAPS, "embedding_size": 8, "layer_type": "basic"}),
    "vit": ("ViT", _TINY),
}


@pytest.fixture(autouse=True)
def _forget() -> None:
    _open_folder.cache_clear()


def _save(kind: str, folder: Path, labels: int = 7) -> Any:
    """Writes a tiny classifier as transformers does; returns it."""
    name, values = _CASES[kind]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**values, num_labels=labels)
    network = getattr(transformers, f"{name}ForImageClassification")(config).eval()
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({
            "size": {"height": 48, "width": 48}, "resample": 3,
            "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        })
    )  # fmt: skip
    return network


def _last_layer(network: Any) -> Any:
    return [m for m in network.modules() if isinstance(m, torch.nn.Linear)][-1]


@pytest.mark.parametrize("kind", TYPES)
def test_a_folder_answers_as_transformers_own_classifier(kind: str, tmp_path: Path) -> None:
    reference = _save(kind, tmp_path)
    config = TrainConfig(model=str(tmp_path), freeze="features")
    spec = trained_spec(config)
    network: Any = build_network(config, spec, 7).eval()
    layer = _last_layer(reference)
    x = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        network.head.weight.copy_(layer.weight)
        network.head.bias.copy_(layer.bias)
        assert torch.allclose(network(x), reference(x).logits, atol=1e-5)
        features = network.forward_features(x)
        assert torch.allclose(network.forward_head(features), network(x), atol=1e-6)
    assert features.shape[:2] == (2, network.num_features)
    assert spec.name == f"transformers:{kind}"
    stages = stage_names(network)
    assert len(stages) > 4
    assert sorted(name for stage in stages for name in stage) == sorted(
        name for name, _ in network.named_parameters()
    )


def test_a_run_outlives_the_folder_that_it_began_with(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    from mien.training.run import train

    _save("vit", tmp_path / "vit")
    faces = write_folder(tmp_path / "faces", 12)
    config = TrainConfig(
        data=f"folder:{faces}", model=str(tmp_path / "vit"), size=64, freeze="features",
        freeze_epochs=1, unfreeze=1, epochs=2, batch_size=12, optimizer="adamw", lr=1e-3, tag="own",
    )  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    shutil.rmtree(tmp_path / "vit")
    _open_folder.cache_clear()
    assert run.config.name == "transformers:vit.own"
    assert run.config.preprocessing.mean == (0.5,) * 3
    crops = np.random.default_rng(0).integers(0, 256, (3, 80, 80, 3), dtype=np.uint8)
    by_torch, by_onnx = [
        EmotionRecognizer(run.path, detector="none", backend=backend).predict_faces(list(crops))
        for backend in ("torch", "onnx")
    ]
    assert np.allclose(by_torch, by_onnx, atol=1e-4)


def test_position_embeddings_fit_another_size(tmp_path: Path) -> None:
    _save("vit", tmp_path)
    config = TrainConfig(model=str(tmp_path), size=64)
    network: Any = build_network(config, trained_spec(config), 3)
    assert network.backbone.embeddings.position_embeddings.shape == (1, 1 + 64, 32)


def test_weights_that_are_not_whole_and_types_that_are_unknown_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    _save("resnet", tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    del tensors["resnet.embedder.embedder.convolution.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    config = TrainConfig(model=str(tmp_path))
    with pytest.raises(ModelError, match=r"all weights of a resnet: embedder\.embedder\.conv"):
        build_network(config, trained_spec(config), 3)
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    _open_folder.cache_clear()
    with pytest.raises(ConfigError, match=r"'clip'.*convnext, convnextv2"):
        model_spec(str(tmp_path))


def test_a_folder_in_the_layout_of_timm(tmp_path: Path) -> None:
    reference = timm.create_model("resnet10t", num_classes=5).eval()
    timm.models.save_for_hf(reference, tmp_path, safe_serialization=True)
    config = TrainConfig(model=str(tmp_path), size=64)
    spec = trained_spec(config)
    network: Any = build_network(config, spec, 5).eval()
    assert spec.name == "timm:resnet10t"
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(network.forward_features(x), reference.forward_features(x))
