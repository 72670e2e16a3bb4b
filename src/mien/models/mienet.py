"""mienet: a small dense residual network for 48x48 gray faces.

Plain 3x3 convolutions keep two CPU cores busy where depthwise ones starve them; the shortcut of a
stage that halves the resolution averages before it projects (as in ResNet-D, He et al. 2019,
https://arxiv.org/abs/1812.01187), so nothing is sampled without a low-pass filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from mien.models.layers import FaceNetwork, conv_norm
from mien.models.registry import register_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; sides are divided by ``stride``, rounded up."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.act = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            pool = nn.AvgPool2d(stride, ceil_mode=True) if stride != 1 else nn.Identity()
            self.shortcut = nn.Sequential(
                pool, *conv_norm(in_channels, out_channels, kernel=1, act=None)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the block's output."""
        y = self.act(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        out: Tensor = self.act(y + self.shortcut(x))
        return out


class MieNet(FaceNetwork):
    """Stem, residual stages, global average pooling, one linear layer.

    As it stands it is ``mienet_s``, the default: 1.4M parameters, 136 MMAC at 48x48. The stem is a
    3x3 convolution at full resolution; ``widths`` (channels), ``depths`` (residual blocks) and
    ``strides`` (of the first block) are by stage.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 1,
        stem: int = 32,
        widths: Sequence[int] = (64, 128, 128, 240),
        depths: Sequence[int] = (1, 1, 1, 1),
        strides: Sequence[int] = (2, 2, 1, 2),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = conv_norm(in_channels, stem)
        channels = stem
        stages: list[nn.Module] = []
        for width, depth, stride in zip(widths, depths, strides, strict=True):
            blocks = [ResidualBlock(channels, width, stride=stride)]
            blocks += [ResidualBlock(width, width) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*blocks))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.num_features = channels
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, ResidualBlock):
                nn.init.zeros_(module.bn2.weight)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward_features(self, x: Tensor) -> Tensor:
        """Maps faces (N, C, S, S) to the last feature map (N, F, S / 8, S / 8)."""
        out: Tensor = self.stages(self.stem(x))
        return out


register_model("mienet_s", summary="dense residual network for 48x48 gray faces, the bundled one")(
    MieNet
)


@register_model(
    "mienet_test", summary="a very small network of the same kind, for tests and trials"
)
def mienet_test(**options: Any) -> MieNet:
    """Builds a network small enough to train in seconds."""
    small = {"stem": 8, "widths": (16, 24, 32), "depths": (1, 1, 1), "strides": (2, 2, 2)}
    return MieNet(**{**small, **options})
