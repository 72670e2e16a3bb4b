from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mien.models import create_model, model_spec


@pytest.mark.parametrize(
    "name",
    ["cnn_simple", "efficientnet_b0", "inception", "mienet_s", "mienet_test", "mobilenet_v2"],
)
def test_network_ends_in_pooling_and_a_linear_layer(name: str) -> None:
    p = model_spec(name).preprocessing
    network: Any = create_model(name, num_classes=5).eval()
    x = torch.randn(3, p.channels, p.size, p.size)
    with torch.no_grad():
        features = network.forward_features(x)
        logits = network(x)
        by_hand = features.mean((2, 3)) @ network.head.weight.T + network.head.bias
    assert features.shape[:2] == (3, network.num_features)
    assert torch.allclose(logits, by_hand, atol=1e-5)
