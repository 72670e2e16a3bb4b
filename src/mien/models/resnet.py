"""ResNet of two-layer blocks (He et al. 2016, https://arxiv.org/abs/1512.03385).

At 48x48 the networks of 18 and 34 layers have 11.2M and 21.3M parameters, 312 and 652 MMAC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mien.models.layers import PooledNetwork, conv_norm, is_paper, scaled
from mien.models.registry import register_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

_WIDTHS = (64, 128, 256, 512)
#: Blocks by stage.
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut, which a 1x1 convolution fits where shapes change."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.first = conv_norm(in_channels, out_channels, stride=stride)
        self.second = conv_norm(out_channels, out_channels, act=None)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = conv_norm(in_channels, out_channels, kernel=1, stride=stride, act=None)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the block's output."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNet(PooledNetwork):
    """Stem, four stages of blocks, global average pooling, one linear layer.

    (N, C, S, S) -> features (N, F, S / 16, S / 16), S / 32 in the paper's layout -> logits (N, K).
    ``depths`` are blocks by stage; ``width`` is the share of the paper's channels. The small layout
    has a 3x3 stem of stride 2, the paper's 7x7 of stride 2 and max pooling.
    """

    def __init__(
        self,
        depths: Sequence[int],
        *,
        num_classes: int,
        in_channels: int = 1,
        layout: str = "small",
        width: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        paper = is_paper(layout)
        channels = scaled(_WIDTHS[0], width)
        layers: list[nn.Module] = [
            conv_norm(in_channels, channels, kernel=7 if paper else 3, stride=2)
        ]
        layers += [nn.MaxPool2d(3, 2, padding=1)] if paper else []
        for stage, (full, depth) in enumerate(zip(_WIDTHS, depths, strict=True)):
            outputs = scaled(full, width)
            for index in range(depth):
                stride = 2 if stage and not index else 1
                layers.append(BasicBlock(channels, outputs, stride=stride))
                channels = outputs
        super().__init__(nn.Sequential(*layers), channels, num_classes=num_classes, dropout=dropout)
        for block in self.modules():  # each block starts as its shortcut
            if isinstance(block, BasicBlock):
                nn.init.zeros_(block.second[1].weight)  # type: ignore[arg-type]


def _register(name: str) -> Callable[..., nn.Module]:
    @register_model(
        name, summary=f"ResNet of {name[6:]} weighted layers with a stem for small faces"
    )
    def build(**options: Any) -> ResNet:
        return ResNet(DEPTHS[name], **options)

    return build


resnet18, resnet34 = (_register(name) for name in DEPTHS)
