"""The baseline: four convolutions, each followed by pooling. Whatever is new must beat it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from mien.models.layers import PooledNetwork, conv_norm, scaled
from mien.models.registry import register_model
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Sequence


class SimpleCNN(PooledNetwork):
    """3x3 convolutions with batch norm and ReLU, max pooling between them.

    (N, C, S, S) -> features (N, F, S / 8, S / 8) -> logits (N, K).

    Args:
        num_classes: K.
        in_channels: C.
        widths: Channels of each convolution; each but the last is followed by 2x2 max pooling.
        dropout: Share of pooled features dropped before the linear layer in training.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 1,
        widths: Sequence[int] = (32, 64, 128, 256),
        dropout: float = 0.2,
    ) -> None:
        layers: list[nn.Module] = []
        channels = in_channels
        for index, width in enumerate(widths):
            layers += [nn.MaxPool2d(2)] if index else []
            layers.append(conv_norm(channels, width))
            channels = width
        super().__init__(nn.Sequential(*layers), channels, num_classes=num_classes, dropout=dropout)


@register_model(
    "cnn_simple",
    preprocessing=Preprocessing(size=48, color="gray"),
    summary="four convolutions with max pooling: the baseline",
)
def cnn_simple(
    *, num_classes: int, in_channels: int = 1, width: float = 1.0, dropout: float = 0.2
) -> SimpleCNN:
    """Builds the baseline: 0.4M parameters, 33 MMAC at 48x48."""
    return SimpleCNN(
        num_classes=num_classes,
        in_channels=in_channels,
        widths=[scaled(channels, width) for channels in (32, 64, 128, 256)],
        dropout=dropout,
    )
