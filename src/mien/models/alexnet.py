"""AlexNet, in the single-column form of Krizhevsky 2014 (https://arxiv.org/abs/1404.5997).

Five convolutions and three linear layers. Batch norm is an addition, without which it hardly
trains at today's learning rates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from mien.models.layers import HiddenNetwork, is_paper, scaled
from mien.models.registry import register_model
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Channels and kernel of the second to fifth convolution.
_LATER = ((192, 5), (384, 3), (256, 3), (256, 3))


@register_model(
    "alexnet",
    preprocessing=Preprocessing(size=48, color="gray"),
    summary="AlexNet of 2014 with batch norm and a stem for small faces",
)
class AlexNet(HiddenNetwork):
    """Five convolutions, then hidden linear layers.

    At 48x48: 5.9M parameters, 126 MMAC.

    (N, C, S, S) -> features (N, F, S / 8, S / 8), S / 16 in the paper's layout -> logits (N, K).

    Args:
        num_classes: K.
        in_channels: C.
        layout: ``small``: a 5x5 stem of stride 2 and padded pooling; ``paper``: 11x11 of stride 4.
        width: Share of the paper's channels.
        hidden: Width of each hidden layer; None: 1024 each, the paper's 4096 in its layout.
        batch_norm: Normalise after each convolution.
        dropout: Share of each hidden layer dropped in training.

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
        hidden: Sequence[int] | None = None,
        batch_norm: bool = True,
        dropout: float = 0.5,
    ) -> None:
        paper = is_paper(layout)
        layers: list[nn.Module] = []
        channels = in_channels

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, padding=0 if paper else 1)

        for index, (full, kernel) in enumerate(((64, 11 if paper else 5), *_LATER)):
            outputs = scaled(full, width)
            stride, padding = (1, kernel // 2) if index else ((4, 2) if paper else (2, 2))
            layers += [pool()] if index in {1, 2} else []
            layers.append(
                nn.Conv2d(channels, outputs, kernel, stride, padding, bias=not batch_norm)
            )
            layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            channels = outputs
        super().__init__(
            nn.Sequential(*layers),
            channels,
            pool=pool(),
            grid=6 if paper else 3,
            hidden=hidden or ((4096, 4096) if paper else (1024, 1024)),
            num_classes=num_classes,
            dropout=dropout,
        )
