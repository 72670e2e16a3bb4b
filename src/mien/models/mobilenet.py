"""MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from mien.models.layers import PooledNetwork, conv_norm, is_paper, scaled
from mien.models.registry import register_model
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

#: Expansion, channels, blocks and stride of each stage, as published.
STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip


class SqueezeExcitation(nn.Module):
    """Weighs channels by what the whole map shows (Hu et al. 2018): (N, C, H, W) to the same."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.act = nn.SiLU()
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the same shape."""
        weights: Tensor = self.excite(self.act(self.squeeze(x.mean(dim=(2, 3), keepdim=True))))
        return x * weights.sigmoid()


class InvertedResidual(nn.Module):
    """Widens by a 1x1, filters by a depthwise and narrows by a 1x1 convolution.

    (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up. The input is
    added where the shapes allow it.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        expansion: By how much the middle is wider than the input; 1 leaves the widening out.
        kernel: Side of the depthwise convolution.
        stride: Its stride.
        act: Activation inside.
        squeeze: Add squeeze-and-excitation, a quarter of the input's channels wide.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        kernel: int = 3,
        stride: int = 1,
        act: Callable[..., nn.Module] = nn.ReLU6,
        squeeze: bool = False,
    ) -> None:
        super().__init__()
        middle = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(conv_norm(in_channels, middle, kernel=1, act=act))
        layers.append(
            conv_norm(middle, middle, kernel=kernel, stride=stride, groups=middle, act=act)
        )
        if squeeze:
            layers.append(SqueezeExcitation(middle, max(in_channels // 4, 1)))
        layers.append(conv_norm(middle, out_channels, kernel=1, act=None))
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the block's output."""
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


@register_model(
    "mobilenet_v2",
    preprocessing=Preprocessing(size=48, color="gray"),
    summary="MobileNetV2: depthwise convolutions in inverted residuals",
)
class MobileNetV2(PooledNetwork):
    """Stem, seven stages of inverted residuals, a 1x1 convolution, pooling, one linear layer.

    At 48x48: 2.2M parameters, 97 MMAC.

    (N, C, S, S) -> features (N, F, S / 8, S / 8), S / 32 in the paper's layout -> logits (N, K).

    Args:
        num_classes: K.
        in_channels: C.
        layout: ``small``: stride 1 in the stem and in the sixth stage; ``paper``: stride 2 there.
        width: Share of the paper's channels; the last layer never has fewer.
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
        dropout: float = 0.2,
    ) -> None:
        paper = is_paper(layout)
        channels, last = scaled(32, width), scaled(1280, max(width, 1.0))
        stem = conv_norm(in_channels, channels, stride=2 if paper else 1, act=nn.ReLU6)
        layers: list[nn.Module] = [stem]
        for stage, (expansion, full, depth, published) in enumerate(STAGES):
            outputs = scaled(full, width)
            for index in range(depth):
                stride = published if not index and (paper or stage != 5) else 1
                layers.append(
                    InvertedResidual(channels, outputs, expansion=expansion, stride=stride)
                )
                channels = outputs
        layers.append(conv_norm(channels, last, kernel=1, act=nn.ReLU6))
        super().__init__(nn.Sequential(*layers), last, num_classes=num_classes, dropout=dropout)
