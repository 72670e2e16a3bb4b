from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from mien.backends import open_backend
from mien.exporting.onnx import export_onnx, save_weights
from mien.hub import ONNX, WEIGHTS, ModelConfig, write_config
from mien.labels import get_schema
from mien.models import create_model, model_spec
from mien.training.network import input_of
from mien.training.stages import stage_names

#: Network of timm, side of its input, options; small ones of each kind.
KINDS: list[tuple[str, int, dict[str, Any]]] = [
    ("mobilenetv2_035", 64, {}),  # a map, pooled
    ("convnext_atto", 64, {}),  # a norm after the pooling
    ("mobilenetv3_small_050", 64, {}),  # hidden layer after the pooling
    ("vit_tiny_patch16_224", 48, {"size": 48, "depth": 2}),  # a class token
    ("deit_tiny_distilled_patch16_224", 48, {"size": 48, "depth": 2}),  # two of them
    ("vit_base_patch16_clip_224", 48, {"size": 48, "depth": 1, "embed_dim": 48, "num_heads": 3}),
    ("swin_tiny_patch4_window7_224", 56, {"size": 56, "depths": (1, 1, 1, 1)}),  # channels last
]


@pytest.mark.parametrize(("name", "side", "options"), KINDS, ids=[kind[0] for kind in KINDS])
def test_backbone_answers_as_timms_own(name: str, side: int, options: dict[str, Any]) -> None:
    network: Any = create_model(f"timm:{name}", num_classes=5, **options).eval()
    with torch.no_grad():
        network.head.weight.normal_()
    own = {**options, "img_size": options["size"]} if "size" in options else options
    own.pop("size", None)
    reference = timm.create_model(name, num_classes=5, **own).eval()
    state = reference.state_dict()
    last = {n for n in state if n not in network.backbone.state_dict()}
    state.update({k: v for k, v in network.backbone.state_dict().items() if k in state})
    for key in last:
        state[key] = getattr(network.head, key.rsplit(".", 1)[1])
    reference.load_state_dict(state)
    x = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, logits = network.forward_features(x), network(x)
        assert torch.allclose(logits, reference(x), atol=1e-4)
    assert features.shape[:2] == (3, network.num_features)
    assert features.shape[2] == features.shape[3] >= 2
    names = [n for stage in stage_names(network) for n in stage]
    assert sorted(names) == sorted(n for n, _ in network.named_parameters())


@pytest.mark.parametrize("which", [0, 3])
def test_backbone_exports_and_both_engines_agree(which: int, tmp_path: Path) -> None:
    name, side, options = KINDS[which]
    network: Any = create_model(f"timm:{name}", num_classes=3, **options).eval()
    config = ModelConfig(
        architecture=f"timm:{name}", tag="test", schema=get_schema("hes3"),
        preprocessing=input_of(model_spec(f"timm:{name}").preprocessing, size=side),
        num_features=network.num_features, model_args=options,
    )  # fmt: skip
    save_weights(network, tmp_path / WEIGHTS)
    assert export_onnx(network, tmp_path / ONNX, config) <= 1e-4
    folder = write_config(tmp_path, config)
    batch = np.random.default_rng(0).normal(size=(5, 3, side, side)).astype(np.float32)
    fast, slow = (open_backend(folder, e).run(batch, features=True) for e in ("onnx", "torch"))
    assert np.abs(fast.logits - slow.logits).max() <= 1e-4
    assert fast.features is not None
    assert fast.features.shape == slow.features.shape  # type: ignore[union-attr]


def test_importing_the_registry_leaves_timm_alone() -> None:
    code = "import mien.models, sys; assert 'timm' not in sys.modules; print('light')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "light\n", done.stderr
