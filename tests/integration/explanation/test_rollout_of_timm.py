from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from mien.explanation.rollout import attends, attention_weights, roll_out, rollout

#: Our Vision Transformer's tensors and those of timm's twin.
_TWINS = (
    ("class_token", "cls_token"), ("positions", "pos_embed"), ("patches.", "patch_embed.proj."),
    (".attention.qkv.", ".attn.qkv."), (".attention.project.", ".attn.proj."),
    (".mlp.0.", ".mlp.fc1."), (".mlp.2.", ".mlp.fc2."),
)  # fmt: skip
_SIZES = {"depth": 3, "num_heads": 3, "embed_dim": 48, "img_size": 48, "patch_size": 6}


def _renamed(name: str) -> str:
    for ours, theirs in _TWINS:
        name = name.replace(ours, theirs)
    return name


def test_timms_twin_with_our_weights_attends_alike() -> None:
    from mien.models import create_model

    torch.manual_seed(0)
    ours = create_model("vit_tiny", num_classes=3, dim=48, depth=3, heads=3).eval()
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # so that attention is far from even
    theirs: Any = create_model(
        "timm:vit_tiny_patch16_224", num_classes=3, in_channels=1, **_SIZES
    ).eval()
    state = {_renamed(name): value for name, value in ours.state_dict().items()}
    state = {name: value for name, value in state.items() if not name.startswith("head.")}
    theirs.backbone.load_state_dict(state)
    modules: list[Any] = [block.attn for block in theirs.backbone.blocks]
    fused = [module.fused_attn for module in modules]
    x = torch.randn(2, 1, 48, 48)
    assert attends(ours)
    assert attends(theirs)
    with torch.inference_mode():
        before = theirs(x)
        expected, found = attention_weights(ours, x), attention_weights(theirs, x)
        assert torch.equal(theirs(x), before)
    assert found.shape == (2, 3, 3, 65, 65)
    assert torch.allclose(found, expected, atol=1e-5)
    assert found.std() > 0.05 / 65, "attention is even: nothing was compared"
    for mine, other in zip(expected, found, strict=True):
        assert np.allclose(roll_out(mine.numpy()), roll_out(other.numpy()), atol=1e-5)
    assert [module.fused_attn for module in modules] == fused
    assert not any(module.attn_drop._forward_hooks for module in modules)


def test_a_folder_with_timms_transformer_is_rolled_out(tmp_path: Path) -> None:
    from mien.exporting.onnx import save_weights
    from mien.hub import WEIGHTS, ModelConfig, write_config
    from mien.labels import get_schema
    from mien.models import create_model, model_spec
    from mien.training.network import input_of

    name = "timm:vit_tiny_patch16_224"
    network: Any = create_model(name, num_classes=3, **_SIZES).eval()
    config = ModelConfig(
        architecture=name, tag="test", schema=get_schema("hes3"), model_args=_SIZES,
        preprocessing=input_of(model_spec(name).preprocessing, size=48),
        num_features=network.num_features,
    )  # fmt: skip
    save_weights(network, tmp_path / WEIGHTS)
    folder = write_config(tmp_path, config)
    crops = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)
    recognizer: Any = SimpleNamespace(folder=folder, config=config)
    batch: Any = SimpleNamespace(crops=crops)
    maps = rollout(recognizer, batch, np.zeros(2, np.int64))
    assert maps.shape == (2, 8, 8)
    assert maps.min() == 0
    assert maps.std() > 0


@pytest.mark.parametrize("name", ["timm:resnet18", "timm:swin_tiny_patch4_window7_224"])
def test_networks_without_a_class_token_do_not_attend(name: str) -> None:
    from mien.models import create_model

    assert not attends(create_model(name, num_classes=3))
