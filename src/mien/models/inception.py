"""The first Inception network, GoogLeNet (Szegedy et al. 2015, https://arxiv.org/abs/1409.4842).

With batch norm (Ioffe and Szegedy 2015) and without the auxiliary classifiers that it replaces.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.models.layers import PooledNetwork, conv_norm, is_paper, scaled
from mien.models.registry import register_model
from mien.preprocess import Preprocessing

#: Channels of each module: 1x1; 3x3 with its reduction; 5x5 with its reduction; after pooling.
STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)  # fmt: skip
_EPSILON = 1e-3


class InceptionModule(nn.Module):
    """Four branches side by side: 1x1, 3x3 and wide convolutions, and pooling.

    (N, C, H, W) -> (N, one + three + wide + pooled, H, W).

    Args:
        channels: C.
        widths: Channels of the branches: one, reduction and three, reduction and wide, pooled.
        wide_kernel: Side of the wide convolution.
    """

    def __init__(
        self, channels: int, widths: tuple[int, int, int, int, int, int], *, wide_kernel: int = 5
    ) -> None:
        super().__init__()
        one, before_three, three, before_wide, wide, pooled = widths
        self.one = _conv(channels, one)
        self.three = nn.Sequential(_conv(channels, before_three), _conv(before_three, three, 3))
        self.wide = nn.Sequential(
            _conv(channels, before_wide), _conv(before_wide, wide, wide_kernel)
        )
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), _conv(channels, pooled))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the branches' maps, one after the other."""
        return torch.cat([self.one(x), self.three(x), self.wide(x), self.pooled(x)], dim=1)


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    return conv_norm(inputs, outputs, kernel=kernel, stride=stride, epsilon=_EPSILON)


@register_model(
    "inception",
    preprocessing=Preprocessing(size=48, color="gray"),
    summary="GoogLeNet with batch norm: branches of several kernel sizes",
)
class Inception(PooledNetwork):
    """Stem, three stages of Inception modules, global average pooling, one linear layer.

    At 48x48: 6.0M parameters, 337 MMAC.

    (N, C, S, S) -> features (N, F, S / 8, S / 8), S / 32 in the paper's layout -> logits (N, K).

    Args:
        num_classes: K.
        in_channels: C.
        layout: ``small``: a 5x5 stem of stride 2, no pooling after it nor before the last stage;
            ``paper``: 7x7 of stride 2, pooling in both places.
        width: Share of the paper's channels.
        wide_kernel: Side of the wide branch's convolution: 5 in the paper; 3 in torchvision.
        dropout: Share of pooled features dropped before the linear layer in training.

    Raises:
        ConfigError: If the layout is unknown, or the width not above 0.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 1,
        layout: str = "small",
        width: float = 1.0,
        wide_kernel: int = 5,
        dropout: float = 0.2,
    ) -> None:
        paper = is_paper(layout)
        first, channels = scaled(64, width), scaled(192, width)
        layers: list[nn.Module] = [_conv(in_channels, first, 7 if paper else 5, 2)]
        layers += [nn.MaxPool2d(3, 2, ceil_mode=True)] if paper else []
        layers += [_conv(first, first), _conv(first, channels, 3)]
        for stage, modules in enumerate(STAGES):
            if stage < 2:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            elif paper:
                layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
            for full in modules:
                a, b, c, d, e, f = (scaled(value, width) for value in full)
                layers.append(
                    InceptionModule(channels, (a, b, c, d, e, f), wide_kernel=wide_kernel)
                )
                channels = a + c + e + f
        super().__init__(nn.Sequential(*layers), channels, num_classes=num_classes, dropout=dropout)
