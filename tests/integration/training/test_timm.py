"""Networks of timm in a recipe: their names, their weights, their optimisers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from safetensors.torch import save_file

from mien.data import Manifest
from mien.data.faces import load_faces
from mien.data.image_stores import PixelImages
from mien.errors import ConfigError, ModelError
from mien.labels import get_schema
from mien.models import model_spec
from mien.models.layers import normalize_tensor
from mien.training.config import TrainConfig
from mien.training.network import build_network, find_weights, input_of, trained_spec
from mien.training.optim.optimizers import make_optimizer, parameter_groups
from mien.training.run import train


def test_a_real_backbone_loads_whole_and_answers_as_timms(shared: Path) -> None:
    from safetensors.torch import load_file

    path = shared / "weights" / "mobilenetv2_100_imagenet.safetensors"
    config = TrainConfig(
        model="timm:mobilenetv2_100", model_args="pad_type=same", size=64, weights=str(path)
    )
    network: Any = build_network(config, trained_spec(config), 8).eval()
    reference: Any = timm.create_model("mobilenetv2_100", num_classes=0, pad_type="same").eval()
    reference.load_state_dict(load_file(path))
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network.forward_features(x), reference.forward_features(x))
        pooled = reference(x)
        assert torch.allclose(network(x), network.head(pooled), atol=1e-5)
    other = TrainConfig(model="timm:resnet18", size=64, weights=str(path))
    with pytest.raises(ModelError, match=r"does not hold the weights of timm:resnet18: backbone\."):
        build_network(other, trained_spec(other), 8)
    gray = TrainConfig(model="timm:mobilenetv2_100", size=64, color="gray", weights=str(path))
    with pytest.raises(ModelError, match="color"):
        build_network(gray, trained_spec(gray), 8)


def test_position_embeddings_fit_another_size(tmp_path: Path) -> None:

    name = "vit_tiny_patch16_224"
    source = timm.create_model(name, num_classes=0)
    path = tmp_path / "vit.safetensors"
    save_file({k: v.contiguous() for k, v in source.state_dict().items()}, path)
    config = TrainConfig(model=f"timm:{name}", size=96, weights=str(path), model_args="depth=2")
    with pytest.raises(ModelError, match=r"blocks\.\d+\.\S+ is not of it"):
        build_network(config, trained_spec(config), 4)
    config = replace(config, model_args="")
    network: Any = build_network(config, trained_spec(config), 4)
    assert network.backbone.pos_embed.shape == (1, 1 + 36, 192)
    same = timm.create_model(name, num_classes=0, img_size=96)
    from timm.layers.pos_embed import resample_abs_pos_embed

    expected = resample_abs_pos_embed(source.pos_embed, [6, 6], [14, 14])
    assert torch.allclose(network.backbone.pos_embed, expected)
    assert same.pos_embed.shape == expected.shape


def test_an_optimizer_of_timms_and_a_misspelt_one() -> None:
    config = TrainConfig(optimizer="timm:lion", lr=0.01, weight_decay=0, warmup_epochs=0)
    p = torch.nn.Parameter(torch.tensor([[1.0]]))
    optimizer = make_optimizer(parameter_groups([[p]], config), config)
    (p**2).sum().backward()
    optimizer.step()
    assert float(p.detach()) == pytest.approx(1 - 0.01)  # Lion steps by the sign
    with pytest.raises(ConfigError, match="Did you mean 'lion'"):
        make_optimizer(parameter_groups([[p]], config), TrainConfig(optimizer="timm:lionn"))


def test_a_name_that_timm_does_not_have_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    config = TrainConfig(data=f"folder:{tmp_path}", model="timm:resnet_34")
    with pytest.raises(ConfigError, match="Did you mean 'resnet34"):
        train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_the_hub_out_of_reach_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def refuse() -> None:
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "get_session", refuse)
    with pytest.raises(ModelError, match=r"offline\?.*hf download timm/.*--weights"):
        find_weights("hub", "timm:mobilenetv2_100")


def test_gray_faces_fill_three_channels_with_the_backbones_mean_and_std() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32), dtype=np.uint8)
    p = input_of(model_spec("timm:mobilenetv2_100").preprocessing, size=32)
    one = Manifest(
        source="made", schema=get_schema("hes3"), images=PixelImages(["a"], pixels),
        targets=np.eye(3, dtype=np.float32)[:1], class_ids=np.array([0]),
        splits=np.array(["train"]), groups=None, leaked=np.array([False]),
    )  # fmt: skip
    faces = load_faces(one, p)
    x = normalize_tensor(torch.from_numpy(faces).permute(0, 3, 1, 2).float(), p)[0]
    for channel, (mean, std) in enumerate(
        zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    ):
        by_hand = (torch.from_numpy(pixels[0]).float() / 255 - mean) / std
        assert torch.allclose(x[channel], by_hand, atol=1e-5)


def test_a_size_that_a_network_cannot_take_is_refused() -> None:
    config = TrainConfig(model="timm:inception_v3", size=32)
    with pytest.raises(ConfigError, match="takes no faces of 32x32 rgb"):
        build_network(config, trained_spec(config), 3)


def test_a_quick_start_is_refused_where_the_network_cannot_take_it() -> None:
    config = TrainConfig(model="timm:inception_v3", first_size=32)
    with pytest.raises(
        ConfigError, match=r"takes no faces of 32x32 rgb: (.|\n)* Give another first_size"
    ):
        build_network(config, trained_spec(config), 3)
