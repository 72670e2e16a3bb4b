"""EfficientNet-B0 (Tan and Le 2019, https://arxiv.org/abs/1905.11946).

MBConv: inverted residuals with squeeze-and-excitation and SiLU.
"""

from __future__ import annotations

from torch import nn

from mien.models.layers import PooledNetwork, conv_norm, is_paper, scaled
from mien.models.mobilenet import InvertedResidual
from mien.models.registry import register_model
from mien.preprocess import Preprocessing

#: Expansion, channels, blocks, kernel and stride of each stage, as published.
STAGES = (
    (1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2), (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2), (6, 320, 1, 3, 1),
)  # fmt: skip


@register_model(
    "efficientnet_b0",
    preprocessing=Preprocessing(size=48, color="gray"),
    summary="EfficientNet-B0: MBConv with squeeze-and-excitation",
)
class EfficientNet(PooledNetwork):
    """Stem, seven stages of MBConv blocks, a 1x1 convolution, pooling, one linear layer.

    At 48x48: 4.0M parameters, 139 MMAC.

    (N, C, S, S) -> features (N, F, S / 8, S / 8), S / 32 in the paper's layout -> logits (N, K).

    Args:
        num_classes: K.
        in_channels: C.
        layout: ``small``: stride 1 in the stem and in the sixth stage; ``paper``: stride 2 there.
        width: Share of B0's channels.
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
        channels, last = scaled(32, width), scaled(1280, width)
        stem = conv_norm(in_channels, channels, stride=2 if paper else 1, act=nn.SiLU)
        layers: list[nn.Module] = [stem]
        for stage, (expansion, full, depth, kernel, published) in enumerate(STAGES):
            outputs = scaled(full, width)
            for index in range(depth):
                block = InvertedResidual(
                    channels,
                    outputs,
                    expansion=expansion,
                    kernel=kernel,
                    stride=published if not index and (paper or stage != 5) else 1,
                    act=nn.SiLU,
                    squeeze=True,
                )
                layers.append(block)
                channels = outputs
        layers.append(conv_norm(channels, last, kernel=1, act=nn.SiLU))
        super().__init__(nn.Sequential(*layers), last, num_classes=num_classes, dropout=dropout)
