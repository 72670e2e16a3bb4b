from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien import EmotionRecognizer, InputError, ModelError
from mien.explanation import explain_crops
from mien.explanation.rollout import attends, attention_weights, roll_out, rollout


def test_one_block_by_hand() -> None:
    # Heads average to rows (0, 1) and (1/2, 1/2); half of each token goes past the block.
    attention = np.array([[[[0, 1], [0, 1]], [[0, 1], [1, 0]]]], float)
    assert roll_out(attention).tolist() == [[0.5, 0.5], [0.25, 0.75]]


def test_two_blocks_by_hand() -> None:
    first = [[[0, 0, 1], [0, 1, 0], [0, 0, 1]]]  # the class token reads patch 2
    second = [[[0, 1, 0], [0, 0, 1], [0, 0, 1]]]  # then patch 1, which has read itself alone
    found = roll_out(np.array([first, second], float))
    # (A2 + I) / 2 = [[.5, .5, 0], ...] times (A1 + I) / 2 = [[.5, 0, .5], [0, 1, 0], [0, 0, 1]].
    assert found[0].tolist() == [0.25, 0.5, 0.25]
    assert found[1].tolist() == [0.0, 0.5, 0.5]
    assert found.sum(axis=1).tolist() == [1.0, 1.0, 1.0]
    # The order matters: the other way around, patch 1 gets less.
    assert roll_out(np.array([second, first], float))[0].tolist() == [0.25, 0.25, 0.5]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="L, heads, T, T"):
        roll_out(np.zeros((2, 3, 3)))
    with pytest.raises(InputError, match="L, heads, T, T"):
        roll_out(np.zeros((1, 2, 3, 4)))


def test_network_without_attention_is_told_of_other_methods() -> None:
    pytest.importorskip("torch")
    recognizer = EmotionRecognizer(detector="none")
    with pytest.raises(ModelError, match=r"no attention.*gradcam.*occlusion"):
        explain_crops(recognizer, np.zeros((1, 48, 48, 1), np.uint8), method="rollout")


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
    torch = pytest.importorskip("torch")
    pytest.importorskip("timm")
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
    pytest.importorskip("torch")
    pytest.importorskip("timm")
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
    pytest.importorskip("torch")
    pytest.importorskip("timm")
    from mien.models import create_model

    assert not attends(create_model(name, num_classes=3))
