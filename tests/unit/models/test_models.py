from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mien.errors import ConfigError
from mien.models import create_model, model_spec, register_model
from mien.models.registry import count_macs, count_parameters


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
