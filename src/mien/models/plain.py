"""Plain networks: LeNet-5 of 1998, and the baseline that whatever is new must beat."""

from __future__ import annotations

from torch import nn

from mien.models.layers import HiddenNetwork, PooledNetwork, conv_norm, is_paper, scaled
from mien.models.registry import register_model


@register_model("lenet", summary="LeNet-5 of 1998 with batch norm and dropout")
def lenet(
    *,
    num_classes: int,
    in_channels: int = 1,
    layout: str = "small",
    batch_norm: bool = True,
    dropout: float = 0.2,
) -> HiddenNetwork:
    """Builds LeNet-5: 0.2M parameters, 1 MMAC at 48x48; the paper's layout is for 32x32.

    LeCun et al. 1998, Gradient-based learning applied to document recognition: two 5x5
    convolutions without padding and three linear layers. Max pooling and ReLU stand where the
    paper has averages and tanh; batch norm and dropout are additions.

    (N, C, S, S) -> features (N, F, S / 2 - 6, S / 2 - 6) -> grid of S / 4 - 3 -> logits (N, K).
    """
    layers: list[nn.Module] = []
    for inputs, outputs in ((in_channels, 6), (6, 16)):
        layers += [nn.MaxPool2d(2)] if layers else []
        layers.append(nn.Conv2d(inputs, outputs, 5, bias=not batch_norm))
        layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
        layers.append(nn.ReLU(inplace=True))
    return HiddenNetwork(
        nn.Sequential(*layers),
        16,
        pool=nn.MaxPool2d(2),
        grid=5 if is_paper(layout) else 9,
        hidden=(120, 84),
        num_classes=num_classes,
        dropout=dropout,
    )


@register_model("cnn_simple", summary="four convolutions with max pooling: the baseline")
def cnn_simple(
    *, num_classes: int, in_channels: int = 1, width: float = 1.0, dropout: float = 0.2
) -> PooledNetwork:
    """Builds the baseline: 0.4M parameters, 33 MMAC at 48x48.

    3x3 convolutions with batch norm and ReLU, 2x2 max pooling between them:
    (N, C, S, S) -> features (N, F, S / 8, S / 8) -> logits (N, K).
    """
    layers: list[nn.Module] = []
    channels = in_channels
    for published in (32, 64, 128, 256):
        layers += [nn.MaxPool2d(2)] if layers else []
        layers.append(conv_norm(channels, channels := scaled(published, width)))
    return PooledNetwork(nn.Sequential(*layers), channels, num_classes=num_classes, dropout=dropout)
