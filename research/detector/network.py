"""The network of mien's face detector: one stage, no anchors, three strides.

Nearly all of it is dense 3x3 convolutions: at these resolutions they cost less time per weight
than depthwise ones, on a processor and on a GPU, and survive eight-bit arithmetic. One box per
cell is FCOS's idea (Tian et al. 2019) and YOLOX's (Ge et al. 2021); a tower that all strides share
is RetinaNet's (Lin et al. 2017); a face detector this small is YuNet's (Wu et al. 2023). The
layers are our own, chosen by measured latency.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
#: Numbers per cell: score logit; centre x, y and logarithm of width, height; five points x, y.
OUTPUTS = 1 + 4 + 10
#: The input is 0..255 times this factor, which is folded into the first convolution at export.
INPUT_SCALE = 1 / 64
#: Sides of the input are multiples of this.
MULTIPLE = 32


@dataclass(frozen=True)
class NetworkConfig:
    """Widths and depths.

    Args:
        stem: Channels at strides 2 and 4.
        widths: Channels at strides 8, 16 and 32.
        depths: Residual blocks at each of those strides.
        neck: Channels in which the three strides meet.
    """

    stem: tuple[int, int] = (16, 24)
    widths: tuple[int, int, int] = (48, 64, 80)
    depths: tuple[int, int, int] = (2, 3, 1)
    neck: int = 48


def conv_block(inputs: int, outputs: int, stride: int = 1, *, groups: int = 1) -> nn.Sequential:
    """A 3x3 convolution, batch normalisation, and a rectifier."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Adds one 3x3 convolution of its input to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the same shape."""
        return functional.relu(x + self.norm(self.conv(x)))


class DetectorNetwork(nn.Module):
    """A face detector of about 300,000 weights.

    Args:
        config: Widths and depths.

    >>> DetectorNetwork()(torch.zeros(1, 3, 64, 96)).shape
    torch.Size([1, 15, 126])
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        config = config or NetworkConfig()
        self.config = config
        self.input_scale = INPUT_SCALE
        first, second = config.stem
        self.stem = nn.Sequential(conv_block(3, first, 2), conv_block(first, second, 2))
        self.stages = nn.ModuleList()
        inputs = second
        for level, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            blocks = [Residual(width) for _ in range(depth)]
            if level < 2:
                enter = conv_block(inputs, width, 2)
            else:  # few cells, many channels: here the depthwise one saves weights, not time
                enter = nn.Sequential(
                    *conv_block(inputs, inputs, 2, groups=inputs),
                    nn.Conv2d(inputs, width, 1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                )
            self.stages.append(nn.Sequential(enter, *blocks))
            inputs = width
        self.laterals = nn.ModuleList(nn.Conv2d(width, config.neck, 1) for width in config.widths)
        self.tower = Residual(config.neck)
        self.heads = nn.ModuleList(nn.Conv2d(config.neck, OUTPUTS, 1) for _ in config.widths)
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, Residual):
                nn.init.constant_(module.norm.weight, 0.3)
        for head in self.heads:
            bias = torch.zeros(OUTPUTS)
            bias[0] = -4.6  # a face in one cell of a hundred
            bias[3:5] = 1.2  # boxes of three to four cells
            nn.init.normal_(head.weight, std=0.01)
            head.bias.data.copy_(bias)

    def features(self, x: Tensor) -> list[Tensor]:
        """Maps the input (N, 3, H, W) to what each stride knows, (N, neck, H / s, W / s)."""
        y = self.stem(x if self.input_scale == 1 else x * self.input_scale)
        maps: list[Tensor] = []
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            y = stage(y)
            maps.append(lateral(y))
        for level in (1, 0):
            larger = functional.interpolate(maps[level + 1], scale_factor=2.0, mode="nearest")
            maps[level] = maps[level] + larger
        return [self.tower(functional.relu(y)) for y in maps]

    def answers(self, maps: list[Tensor]) -> Tensor:
        """Maps the features to the numbers of all cells, (N, 15, A)."""
        cells = [head(y).flatten(2) for head, y in zip(self.heads, maps, strict=True)]
        return torch.cat(cells, dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """Finds faces.

        Args:
            x: (N, 3, H, W), RGB 0..255, H and W multiples of 32.

        Returns:
            (N, 15, A): for each of A cells the numbers of ``OUTPUTS``; the cells of stride 8 by
            rows, then those of 16, then of 32.
        """
        return self.answers(self.features(x))


def cell_grid(height: int, width: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Returns centres (A, 2), x and y in pixels, and strides (A,) of all cells of an input."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = height // stride, width // stride
        y, x = torch.meshgrid(
            torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij"
        )
        centres.append((torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((rows * columns,), float(stride), device=device))
    return torch.cat(centres), torch.cat(strides)


def decode_boxes(values: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Turns the four numbers of cells (..., 4) into corners (..., 4) in pixels."""
    step = strides[..., None]
    middle = centres + values[..., :2] * step
    half = values[..., 2:].clamp(-6, 6).exp() * step / 2
    return torch.cat([middle - half, middle + half], dim=-1)
