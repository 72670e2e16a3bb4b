"""LeNet-5 (LeCun et al. 1998, Gradient-based learning applied to document recognition).

Two 5x5 convolutions and three linear layers. Max pooling and ReLU stand where the paper has
averages and tanh; batch norm and dropout are additions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from mien.models.layers import HiddenNetwork, is_paper
from mien.models.registry import register_model
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Sequence


class LeNet(HiddenNetwork):
    """Two convolutions without padding, then hidden linear layers.

    (N, C, S, S) -> features (N, F, S / 2 - 6, S / 2 - 6) -> logits (N, K).

    Args:
        num_classes: K.
        in_channels: C.
        widths: Channels of the two convolutions.
        hidden: Width of each hidden layer.
        grid: Side of the map that the first hidden layer sees: S / 4 - 3.
        batch_norm: Normalise after each convolution.
        dropout: Share of each hidden layer dropped in training.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 1,
        widths: tuple[int, int] = (6, 16),
        hidden: Sequence[int] = (120, 84),
        grid: int = 9,
        batch_norm: bool = True,
        dropout: float = 0.2,
    ) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in ((in_channels, widths[0]), widths):
            layers += [nn.MaxPool2d(2)] if layers else []
            layers.append(nn.Conv2d(inputs, outputs, 5, bias=not batch_norm))
            layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
        super().__init__(
            nn.Sequential(*layers),
            widths[1],
            pool=nn.MaxPool2d(2),
            grid=grid,
            hidden=hidden,
            num_classes=num_classes,
            dropout=dropout,
        )


@register_model(
    "lenet",
    preprocessing=Preprocessing(size=48, color="gray"),
    summary="LeNet-5 of 1998 with batch norm and dropout",
)
def lenet(
    *,
    num_classes: int,
    in_channels: int = 1,
    layout: str = "small",
    batch_norm: bool = True,
    dropout: float = 0.2,
) -> LeNet:
    """Builds LeNet-5: 0.2M parameters, 1 MMAC at 48x48; the paper's layout is for 32x32."""
    return LeNet(
        num_classes=num_classes,
        in_channels=in_channels,
        grid=5 if is_paper(layout) else 9,
        batch_norm=batch_norm,
        dropout=dropout,
    )
