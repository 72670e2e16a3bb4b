"""Our networks in the published layout, by hand."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from mien.errors import ConfigError, InputError
from mien.models import create_model
from mien.models.layers import scaled
from mien.models.registry import count_macs, count_parameters
from mien.models.vit import Attention, VisionTransformer


def _paper(name: str, **options: Any) -> torch.nn.Module:
    return create_model(name, num_classes=1000, in_channels=3, layout="paper", **options).eval()


def test_lenet_parameters_by_hand() -> None:
    network: Any = create_model("lenet", num_classes=10, layout="paper", batch_norm=False)
    layers = (25 + 1) * 6, (6 * 25 + 1) * 16, (400 + 1) * 120, (120 + 1) * 84, (84 + 1) * 10
    assert count_parameters(network) == sum(layers) == 61_706
    assert network.forward_features(torch.zeros(1, 1, 32, 32)).shape == (1, 16, 10, 10)


def test_macs_of_a_transformer_by_hand() -> None:
    network = VisionTransformer(num_classes=3, image_size=12, patch=6, dim=8, depth=2, heads=2)
    tokens = 5
    block = 12 * 8 * 8 * tokens + 2 * tokens * tokens * 8
    assert count_macs(network, (1, 12, 12)) == 4 * 36 * 8 + 2 * block + 8 * 3


def test_attention_weights_are_those_of_the_forward_pass() -> None:
    torch.manual_seed(0)
    layer, tokens = Attention(8, 2), torch.randn(3, 5, 8)
    weights = layer.weights(tokens)
    assert weights.shape == (3, 2, 5, 5)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(3, 2, 5))
    values = layer.qkv(tokens)[..., 16:].unflatten(2, (2, 4)).transpose(1, 2)
    by_hand = layer.project((weights @ values).transpose(1, 2).flatten(2))
    assert torch.allclose(layer(tokens), by_hand, atol=1e-6)


def test_positions_of_another_size_are_interpolated_and_odd_sizes_refused() -> None:
    network: Any = create_model("vit_tiny", num_classes=3, depth=1).eval()
    with torch.no_grad():
        network.positions[:, 1:] = 1.0  # the same everywhere: interpolation changes nothing
        assert network._embed(torch.zeros(1, 1, 96, 96))[0, 1:] == pytest.approx(
            (network.patches.bias + 1.0).expand(256, -1), abs=1e-5
        )
    with pytest.raises(InputError, match="multiple of 6"):
        network(torch.zeros(1, 1, 50, 48))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet34", {"layout": "papers"}, "paper"),
        ("vit_tiny", {"depth": 0}, "at least 1"),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        create_model(name, num_classes=3, **options)
    with pytest.raises(ConfigError, match="heads must divide 8"):
        VisionTransformer(num_classes=3, dim=8, heads=3)


def test_scaled_channels_are_multiples_of_8_and_not_far_below() -> None:
    for channels in range(8, 400, 8):
        for width in (0.125, 0.35, 0.5, 0.75, 1.4, 2.0):
            found = scaled(channels, width)
            assert found % 8 == 0
            assert found >= 0.9 * channels * width
