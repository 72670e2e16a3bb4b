from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mien.errors import ConfigError
from mien.models import create_model, model_spec, register_model
from mien.models.registry import count_macs, count_parameters


@pytest.mark.parametrize(
    "name",
    ["cnn_simple", "efficientnet_b0", "inception", "mienet_s", "mienet_test", "mobilenet_v2"],
)
def test_network_ends_in_pooling_and_a_linear_layer(name: str) -> None:
    p = model_spec(name).preprocessing
    network = create_model(name, num_classes=5).eval()
    x = torch.randn(3, p.channels, p.size, p.size)
    with torch.no_grad():
        features = network.forward_features(x)
        logits = network(x)
        by_hand = features.mean((2, 3)) @ network.head.weight.T + network.head.bias
    assert features.shape[:2] == (3, network.num_features)
    assert torch.allclose(logits, by_hand, atol=1e-5)


def test_default_network_keeps_its_budget() -> None:
    network = create_model("mienet_s", num_classes=8)
    assert count_parameters(network) == 1_412_616
    assert count_macs(network, (1, 48, 48)) == 138_914_688


def test_macs_of_one_convolution_by_hand() -> None:
    layer = torch.nn.Conv2d(3, 8, 3, padding=1, groups=1)
    assert count_macs(layer, (3, 10, 10)) == 8 * 10 * 10 * 3 * 9


@pytest.mark.parametrize("size", [24, 48, 61])
def test_any_input_size_runs(size: int) -> None:
    network = create_model("mienet_test", num_classes=3, in_channels=3).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 3, size, size)).shape == (2, 3)


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="mienet_s"):
        create_model("mienet_z", num_classes=3)
    with pytest.raises(ConfigError, match="at least 2"):
        create_model("mienet_s", num_classes=1)
    with pytest.raises(ConfigError, match="cannot be built"):
        create_model("mienet_s", num_classes=3, colour="red")
    with pytest.raises(ConfigError, match="registered already"):
        register_model("mienet_s", preprocessing=model_spec("mienet_s").preprocessing, summary="")(
            lambda **_: torch.nn.Identity()
        )
