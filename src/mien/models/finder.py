"""The network of mien's own face detector: one stage, no anchors, three scales.

Dense 3x3 convolutions where the picture shrinks, depthwise ones in between, as many as YuNet's
latency leaves room for: a shallower network of dense layers alone was as fast, and could tell in
which cell a face lies, but not where in it. Each cell of the strides 8, 16 and 32 says whether a
face is centred near it, where its box lies, and where its five landmarks are. The idea of one box
a cell is FCOS's (Tian et al. 2019) and YOLOX's (Ge et al. 2021), that of a detector this small for
faces YuNet's (Wu et al. 2023); the layers are our own, chosen by measured latency
(docs/detector.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

STRIDES = (8, 16, 32)
#: Numbers a cell: score logit; centre x, y and logarithm of width, height; five points x, y.
OUTPUTS = 1 + 4 + 10
#: The input is 0..255 times this factor, which is folded into the first convolution at export.
INPUT_SCALE = 1 / 64


class PointConv(nn.Conv2d):
    """A 1x1 convolution that trains as a matrix product.

    oneDNN's gradient of narrow 1x1 convolutions is up to thirty times slower on two threads than
    on one (seen with torch 2.15); a product over the channels is not. The result is the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, C', H, W)."""
        if not self.training:
            return super().forward(x)
        y = functional.linear(x.permute(0, 2, 3, 1), self.weight[:, :, 0, 0], self.bias)
        return y.permute(0, 3, 1, 2)


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    conv = (
        PointConv(inputs, outputs, 1, bias=False)
        if kernel == 1
        else nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    )
    return nn.Sequential(
        conv,
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        *_conv(inputs, outputs, 1),
    )


class Block(nn.Module):
    """Adds to its input what a depthwise 3x3 and a 1x1 convolution see of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False)
        self.look_norm = nn.BatchNorm2d(channels)
        self.mix = PointConv(channels, channels, 1, bias=False)
        self.mix_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the same shape."""
        y = functional.relu(self.look_norm(self.look(x)), inplace=True)
        return functional.relu(x + self.mix_norm(self.mix(y)), inplace=True)


class Finder(nn.Module):
    """A face detector of fewer than 150,000 weights.

    Args:
        stem: Channels at strides 2 and 4.
        widths: Channels at strides 8, 16 and 32.
        depth: Blocks at each of those strides.
        neck: Channels in which the three scales meet.

    >>> Finder()(torch.zeros(1, 3, 64, 96)).shape
    torch.Size([1, 126, 15])
    """

    def __init__(
        self,
        stem: tuple[int, int] = (16, 32),
        widths: tuple[int, int, int] = (48, 64, 96),
        depth: int = 3,
        neck: int = 48,
    ) -> None:
        super().__init__()
        self.input_scale = INPUT_SCALE
        fine, middle, coarse = widths

        def blocks(channels: int) -> list[Block]:
            return [Block(channels) for _ in range(depth)]

        self.stem = nn.Sequential(
            _conv(3, stem[0], stride=2), _conv(stem[0], stem[1], stride=2), Block(stem[1])
        )
        self.fine = nn.Sequential(_conv(stem[1], fine, stride=2), *blocks(fine))
        self.middle = nn.Sequential(_conv(fine, middle, stride=2), *blocks(middle))
        self.coarse = nn.Sequential(_separable(middle, coarse, 2), *blocks(coarse))
        self.lateral = nn.ModuleList(PointConv(width, neck, 1) for width in widths)
        self.towers = nn.ModuleList(_separable(neck, neck) for _ in widths)
        self.heads = nn.ModuleList(PointConv(neck, OUTPUTS, 1) for _ in widths)
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for head in self.heads:
            assert isinstance(head, nn.Conv2d)  # noqa: S101 - just built
            assert head.bias is not None  # noqa: S101
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
            with torch.no_grad():
                head.bias[0] = -4.6  # a face in one cell of a hundred
                head.bias[3:5] = 1.2  # boxes of three to four cells

    def forward(self, x: Tensor) -> Tensor:
        """Looks at pictures.

        Args:
            x: (N, 3, H, W), RGB 0..255, H and W multiples of 32.

        Returns:
            (N, A, 15), the cells of stride 8 by rows, then those of 16 and of 32; see ``OUTPUTS``.
        """
        fine = self.fine(self.stem(x if self.input_scale == 1 else x * self.input_scale))
        middle = self.middle(fine)
        maps = [fine, middle, self.coarse(middle)]
        maps = [lateral(y) for lateral, y in zip(self.lateral, maps, strict=True)]
        for level in (1, 0):
            larger = functional.interpolate(maps[level + 1], scale_factor=2.0, mode="nearest")
            maps[level] = maps[level] + larger
        cells = [
            head(tower(functional.relu(y))).flatten(2)
            for head, tower, y in zip(self.heads, self.towers, maps, strict=True)
        ]
        return torch.cat(cells, dim=2).transpose(1, 2)
