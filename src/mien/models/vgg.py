"""VGG (Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556), with batch norm.

Stages of 3x3 convolutions with max pooling between them, then hidden linear layers. At 48x48 the
networks of 11, 13 and 16 layers have 11.9M, 12.0M and 17.3M parameters, 471, 641 and 896 MMAC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from mien.models.layers import HiddenNetwork, is_paper, scaled
from mien.models.registry import register_model
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WIDTHS = (64, 128, 256, 512, 512)
#: Convolutions by stage: the paper's configurations A, B and D.
DEPTHS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3)}


class VGG(HiddenNetwork):
    """Five stages of convolutions, then hidden linear layers.

    (N, C, S, S) -> features (N, F, S / 8, S / 8), S / 16 in the paper's layout -> logits (N, K).

    Args:
        depths: Convolutions by stage.
        num_classes: K.
        in_channels: C.
        layout: ``small``: no pooling between the last two stages, a grid of 3; ``paper``: pooling
            after each, a grid of 7.
        width: Share of the paper's channels.
        hidden: Width of each hidden layer; None: 512 each, the paper's 4096 in its layout.
        batch_norm: Normalise after each convolution.
        dropout: Share of each hidden layer dropped in training.

    Raises:
        ConfigError: If the layout is unknown, or the width not above 0.
    """

    def __init__(
        self,
        depths: Sequence[int],
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
        for stage, (full, depth) in enumerate(zip(_WIDTHS, depths, strict=True)):
            if stage and (paper or stage < 4):
                layers.append(nn.MaxPool2d(2))
            for _ in range(depth):
                outputs = scaled(full, width)
                layers.append(nn.Conv2d(channels, outputs, 3, padding=1))
                layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                channels = outputs
        super().__init__(
            nn.Sequential(*layers),
            channels,
            pool=nn.MaxPool2d(2),
            grid=7 if paper else 3,
            hidden=hidden or ((4096, 4096) if paper else (512, 512)),
            num_classes=num_classes,
            dropout=dropout,
        )


def _register(name: str) -> Callable[..., nn.Module]:
    @register_model(
        name,
        preprocessing=Preprocessing(size=48, color="gray"),
        summary=f"VGG of {name[3:]} weighted layers with batch norm",
    )
    def build(*, num_classes: int, in_channels: int = 1, **options: Any) -> VGG:
        return VGG(DEPTHS[name], num_classes=num_classes, in_channels=in_channels, **options)

    return build


vgg11, vgg13, vgg16 = (_register(name) for name in DEPTHS)
