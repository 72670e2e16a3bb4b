"""What networks share: input, channels, the start of training, two kinds of end, feature maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from mien.preprocess import Preprocessing

#: ``small``: strides for faces of about 48 px; ``paper``: as published, for 224 px.
LAYOUTS = ("small", "paper")


def normalize_tensor(faces: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The torch form of :func:`mien.preprocess.normalize`: (N, C, S, S) on 0..255 to inputs."""
    if preprocessing.normalization == "per_image":
        x = faces - faces.mean(dim=(1, 2, 3), keepdim=True)
        std = x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return x / (std + preprocessing.epsilon)
    values = (preprocessing.mean, preprocessing.std)
    mean, std = (torch.tensor(v, device=faces.device, dtype=faces.dtype) for v in values)
    return (faces / 255 - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)


def is_paper(layout: str) -> bool:
    """Says whether a layout is the published one."""
    if layout not in LAYOUTS:
        raise ConfigError(f"no layout named {layout!r}." + suggest(layout, LAYOUTS))
    return layout == "paper"


def scaled(channels: int, width: float) -> int:
    """Returns a share of some channels, as a multiple of 8 that is not under 90 % of it.

    The rule of MobileNetV2 (Sandler et al. 2018).
    """
    if not width > 0:
        raise ConfigError(f"width must be above 0, a share of the channels; got {width!r}.")
    if width == 1:
        return channels
    wanted = channels * width
    near = max(8, int(wanted + 4) // 8 * 8)
    return near + 8 if near < 0.9 * wanted else near


def conv_norm(
    inputs: int,
    outputs: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    act: Callable[..., nn.Module] | None = nn.ReLU,
    epsilon: float = 1e-5,
) -> nn.Sequential:
    """Builds convolution, norm, activation: (N, outputs, H / stride, W / stride), rounded up."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=epsilon),
    ]
    if act is not None:
        layers.append(act(inplace=True))
    return nn.Sequential(*layers)


def start_weights(network: nn.Module) -> None:
    """Draws weights to train from: He et al. 2015 for all layers but the last, ``head``."""
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan = module.weight[0].numel()
            if isinstance(module, nn.Conv2d):
                fan = module.weight[:, 0].numel() // module.groups
            std = 0.01 if name == "head" else (2 / fan) ** 0.5
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class FaceNetwork(nn.Module):
    """A feature map, its global average, dropout, one linear layer: what most networks share.

    A subclass sets ``features`` (or has a ``forward_features`` of its own), ``num_features``,
    ``dropout`` and ``head``.
    """

    features: nn.Module
    dropout: nn.Module
    head: nn.Module

    def forward_features(self, x: Tensor) -> Tensor:
        """Maps faces (N, C, S, S) to the last feature map (N, F, h, w)."""
        out: Tensor = self.features(x)
        return out

    def forward_head(self, features: Tensor) -> Tensor:
        """Maps a feature map (N, F, h, w) to logits (N, K)."""
        logits: Tensor = self.head(self.dropout(features.mean(dim=(2, 3))))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Maps faces (N, C, S, S) to logits (N, K)."""
        return self.forward_head(self.forward_features(x))


class PooledNetwork(FaceNetwork):
    """Convolutions, global average pooling, one linear layer.

    Args:
        features: Maps faces (N, C, S, S) to (N, F, h, w).
        num_features: F.
        num_classes: K.
        dropout: Share of pooled features dropped before the linear layer in training.
    """

    def __init__(
        self, features: nn.Module, num_features: int, *, num_classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.features, self.num_features = features, num_features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(num_features, num_classes)
        start_weights(self)


class HiddenNetwork(FaceNetwork):
    """Convolutions, pooling to a grid, hidden linear layers, a last one.

    Each cell of the grid has weights of its own, so no class-activation map follows from the last
    layer; gradients and occlusion explain it. ``features`` maps faces (N, C, S, S) to
    (N, F, h, w), ``pool`` shrinks that, and a map of another side than ``grid`` is averaged to it;
    ``dropout`` is the share of each hidden layer dropped in training.
    """

    def __init__(
        self,
        features: nn.Module,
        num_features: int,
        *,
        pool: nn.Module,
        grid: int,
        hidden: Sequence[int],
        num_classes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.features, self.num_features = features, num_features
        self.pool, self.grid = pool, grid
        inputs, layers = num_features * grid * grid, []
        for outputs in hidden:
            layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout(dropout)]
            inputs = outputs
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, num_classes)
        start_weights(self)

    def forward_head(self, features: Tensor) -> Tensor:
        """Maps a feature map (N, F, h, w) to logits (N, K)."""
        pooled = self.pool(features)
        if pooled.shape[2:] != (self.grid, self.grid):
            pooled = functional.adaptive_avg_pool2d(pooled, self.grid)
        logits: Tensor = self.head(self.hidden(pooled.flatten(1)))
        return logits


def forward_tapped(network: nn.Module, x: Tensor, tap: Callable[[Tensor], Tensor]) -> Tensor:
    """Runs faces (N, C, S, S), the last feature map passing through a function: logits (N, K).

    Most networks compute their logits from the last feature map (N, F, h, w) alone:
    ``forward_features``, then ``forward_head``. A Vision Transformer does not, since its class
    token travels separately. It offers ``forward_tapped(x, tap)`` in place of ``forward_head``.
    """
    if hasattr(network, "forward_tapped"):
        logits: Tensor = network.forward_tapped(x, tap)  # type: ignore[operator]
    else:
        features = tap(network.forward_features(x))  # type: ignore[operator]
        logits = network.forward_head(features)  # type: ignore[operator]
    return logits


def logits_and_features(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Runs faces (N, C, S, S): logits (N, K) and the last feature map (N, F, h, w)."""
    seen: list[Tensor] = []

    def keep(features: Tensor) -> Tensor:
        seen.append(features)
        return features

    return forward_tapped(network, x, keep), seen[-1]
