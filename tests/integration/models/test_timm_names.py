from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from mien.errors import ConfigError
from mien.models import create_model, list_backbones, list_models, model_spec


def test_named_backbones_are_listed_apart_and_known_to_timm() -> None:
    names = list_backbones()
    assert {"timm:vgg16", "timm:resnet50", "timm:efficientnet_b5",
            "timm:vit_base_patch16_224.orig_in21k"} <= set(names)  # fmt: skip
    assert not set(names) & set(list_models())
    for name in names:
        assert model_spec(name).preprocessing.color == "rgb"
    vit = model_spec("timm:vit_base_patch16_224.orig_in21k").preprocessing
    assert (vit.size, vit.mean, vit.std) == (224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_names_that_timm_does_not_know_are_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'resnet50"):
        create_model("timm:resnet_50", num_classes=3)
    with pytest.raises(ConfigError, match="no weights 'orig'"):
        create_model("timm:vit_base_patch16_224.orig", num_classes=3)
    with pytest.raises(ConfigError, match="cannot be built"):
        create_model("timm:resnet18", num_classes=3, colour="red")
