"""Our networks next to those of torchvision and timm, in the published layout."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

pytest.importorskip("torch")
timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

import torch

from mien.errors import ConfigError
from mien.models import create_model
from mien.models.registry import count_parameters

zoo = torchvision.models


def _paper(name: str, **options: Any) -> Any:
    return create_model(name, num_classes=1000, in_channels=3, layout="paper", **options).eval()


def _same_outputs(ours: torch.nn.Module, theirs: torch.nn.Module, size: int) -> None:
    """Gives both the same weights, in their order, and compares what they say."""
    torch.manual_seed(0)
    state = theirs.eval().state_dict()
    for key, value in state.items():
        if "running_mean" in key:
            value.normal_(0, 0.1)
        elif "running_var" in key:
            value.uniform_(0.5, 2)
        elif value.ndim == 3:  # class token and positions, which start near 0
            value.normal_()
    mine = ours.state_dict()
    assert [value.shape for value in mine.values()] == [value.shape for value in state.values()]
    ours.load_state_dict(dict(zip(mine, state.values(), strict=True)))
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected, found = theirs(x), ours(x)
    assert expected.std() > 1e-3
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "reference", "size"),
    [
        ("resnet18", "resnet18", 70),
        ("resnet34", "resnet34", 64),
        ("mobilenet_v2", "mobilenetv2_100", 64),
        ("efficientnet_b0", "efficientnet_b0", 64),
        ("vit_tiny", "vit_tiny_patch16_224", 224),
    ],
)
def test_network_is_that_of_timm(name: str, reference: str, size: int) -> None:
    _same_outputs(_paper(name), timm.create_model(reference), size)


def test_inception_with_torchvisions_kernel_is_torchvisions_googlenet() -> None:
    theirs = zoo.googlenet(aux_logits=False, init_weights=False)
    _same_outputs(_paper("inception", wide_kernel=3), theirs, 64)


@pytest.mark.parametrize(("name", "letter"), [("vgg11", "A"), ("vgg13", "B"), ("vgg16", "D")])
def test_vgg_convolutions_are_torchvisions(name: str, letter: str) -> None:
    module = importlib.import_module("torchvision.models.vgg")
    theirs = module.make_layers(module.cfgs[letter], batch_norm=True)
    ours = _paper(name, hidden=(8,))
    _same_outputs(torch.nn.Sequential(ours.features, ours.pool), theirs, 40)


@pytest.mark.parametrize(
    ("name", "options", "reference"),
    [
        ("vgg11", {}, "vgg11_bn"),
        ("vgg11", {"batch_norm": False}, "vgg11"),
        ("vgg13", {}, "vgg13_bn"),
        ("vgg16", {}, "vgg16_bn"),
        ("alexnet", {"batch_norm": False}, "alexnet"),
    ],
)
def test_parameters_are_those_of_torchvision(
    name: str, options: dict[str, Any], reference: str
) -> None:
    with torch.device("meta"):  # hundreds of megabytes otherwise
        ours, theirs = _paper(name, **options), getattr(zoo, reference)(weights=None)
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]


def test_vit_small_has_the_parameters_of_timms() -> None:
    with torch.device("meta"):
        ours = _paper("vit_small")
        theirs = timm.create_model("vit_small_patch16_224")
    assert count_parameters(ours) == count_parameters(theirs) == 22_050_664


@pytest.mark.parametrize(
    ("options", "words"), [({"width": 0}, "above 0"), ({"colour": 1}, "cannot be built")]
)
def test_wrong_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        create_model("vgg16", num_classes=3, **options)
