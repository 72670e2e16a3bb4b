"""Light, gray levels, blur, noise, compression and occlusion of views, each by chance and by face.

Views are float32 (N, 1, 96, 96) on 0..255, and everything is meant at 48 pixels: one pixel of
noise covers 2x2 of them, a block of JPEG 16x16.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from research.expression.views import VIEW, uniform
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

#: JPEG's table of luminance at quality 50 (ITU-T T.81, annex K).
JPEG_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


@dataclass(frozen=True)
class Tones:
    """Chances and strengths.

    Args:
        light: Chance of a ramp of light across the face.
        curve: Chance of a random monotone curve of gray levels.
        retone: Largest change of gamma, contrast and brightness of every face.
        harsh: Chance of very weak contrast or of clipped brightness.
        blur: Chance of a Gaussian blur, up to 3 pixels of 48.
        low_resolution: Chance of 14 to 40 pixels scaled up.
        noise: Chance of noise, up to 50 gray levels.
        jpeg: Chance of compression at quality 4 to 60.
        erase: Chance of a rectangle over up to 35 % of the area.
    """

    light: float = 0.3
    curve: float = 0.3
    retone: float = 0.3
    harsh: float = 0.2
    blur: float = 0.2
    low_resolution: float = 0.2
    noise: float = 0.2
    jpeg: float = 0.2
    erase: float = 0.35

    @classmethod
    def heavy(cls) -> Tones:
        """Returns settings under which nearly every face is corrupted, for evaluation."""
        return cls(0.5, 0.5, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4, 0.5)


def _chance(n: int, probability: float, device: torch.device) -> Tensor:
    return (torch.rand(n, device=device) < probability).view(n, 1, 1, 1)


def _draw(n: int, low: float, high: float, device: torch.device) -> Tensor:
    return uniform(n, low, high, device).view(n, 1, 1, 1)


def _change_some(x: Tensor, chosen: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Changes the faces that ``chosen`` (n, 1, 1, 1) names; a CPU does no work on the others."""
    if x.is_cuda:  # Counting them would make the CPU wait for the GPU.
        return torch.where(chosen, change(x), x)
    index = chosen.view(-1).nonzero()[:, 0]
    return x.index_copy(0, index, change(x[index])) if len(index) else x


def relight(x: Tensor, tones: Tones) -> Tensor:
    """Ramps of light, curves of gray levels, then gamma, contrast and brightness."""
    n, device = len(x), x.device
    x = _change_some(x, _chance(n, tones.light, device), _light).clamp(0, 255) / 255
    x = _change_some(x, _chance(n, tones.curve, device), _curve)
    limit = tones.retone
    x = x.clamp(1e-4, 1).pow(torch.exp(_draw(n, -limit, limit, device)))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    gain, lift = 1 + _draw(n, -limit, limit, device), 1 + _draw(n, -limit, limit, device)
    flat = _chance(n, 0.5, device)
    weak = torch.where(flat, _draw(n, 0.1, 0.6, device), torch.ones_like(mean))
    offset = torch.where(flat, torch.zeros_like(mean), _draw(n, -0.45, 0.5, device))
    harsh = _chance(n, tones.harsh, device)
    # (x - mean) gain + mean lift, then about the first mean again: one product and one sum.
    scale = torch.where(harsh, gain * weak, gain)
    place = torch.where(harsh, mean * (lift - 1) * weak + mean + offset, mean * lift)
    return ((x - mean) * scale + place).clamp(0, 1) * 255


def _light(x: Tensor) -> Tensor:
    """A ramp of light across each face."""
    n, device = len(x), x.device
    line = torch.linspace(-1, 1, x.shape[-1], device=device)
    angle = _draw(n, -math.pi, math.pi, device)
    ramp = torch.cos(angle) * line.view(1, 1, 1, -1) + torch.sin(angle) * line.view(1, 1, -1, 1)
    return x * (1 + ramp * _draw(n, 0.1, 0.65, device))


def _curve(x: Tensor) -> Tensor:
    """Adds a sin(pi k x) / (pi k): rises everywhere while |a| < 1, and keeps 0 and 1."""
    n, device = len(x), x.device
    waves = torch.randint(1, 4, (n, 1, 1, 1), device=device) * math.pi
    return x + _draw(n, -0.9, 0.9, device) * torch.sin(waves * x) / waves


@functools.cache
def _rescalers(device: torch.device) -> Tensor:
    """Matrices (T, 96, 96) that shrink to 14 to 40 of 48 pixels and scale up again."""
    eye = torch.eye(VIEW, device=device).view(1, 1, VIEW, VIEW)
    made = []
    for side in range(14, 41, 2):
        small = functional.interpolate(eye, size=(side, VIEW), mode="bilinear", antialias=True)
        made.append(functional.interpolate(small, size=(VIEW, VIEW), mode="bilinear")[0, 0])
    return torch.stack(made)


def soften(x: Tensor, tones: Tones) -> Tensor:
    """Blurs some faces and lowers the resolution of some: one product from each side."""
    n, device = len(x), x.device
    blurred = _chance(n, tones.blur, device)
    low = _chance(n, tones.low_resolution, device)
    if x.is_cuda:
        return _soften(x, blurred, low)
    index = (blurred | low).view(-1).nonzero()[:, 0]
    if not len(index):
        return x
    return x.index_copy(0, index, _soften(x[index], blurred[index], low[index]))


def _soften(x: Tensor, blurred: Tensor, low: Tensor) -> Tensor:
    n, device = len(x), x.device
    # Small blurs are the common ones.
    sigma = torch.where(
        blurred,
        0.6 + 5.4 * _draw(n, 0, 1, device).square(),
        torch.zeros_like(blurred, dtype=x.dtype),
    )
    place = torch.arange(VIEW, device=device, dtype=x.dtype)
    distance = (place.view(1, -1, 1) - place.view(1, 1, -1)).square()
    kernel = torch.exp(-0.5 * distance / sigma.view(n, 1, 1).square().clamp_min(0.02))
    kernel = kernel / kernel.sum(dim=2, keepdim=True)
    tables = _rescalers(device)
    chosen = tables[torch.randint(len(tables), (n,), device=device)]
    eye = torch.eye(VIEW, device=device).expand(n, VIEW, VIEW)
    matrix = torch.bmm(torch.where(low.view(n, 1, 1), chosen, eye), kernel)
    return torch.bmm(torch.bmm(matrix, x[:, 0]), matrix.transpose(1, 2)).unsqueeze(1)


@functools.cache
def _jpeg_parts(device: torch.device) -> tuple[Tensor, Tensor]:
    """The first 8 rows of a cosine transform of 16 points, and JPEG's table."""
    k, t = torch.arange(8).view(-1, 1), torch.arange(16).view(1, -1)
    basis = torch.cos(math.pi * (2 * t + 1) * k / 32) * math.sqrt(2 / 16)
    basis[0] = math.sqrt(1 / 16)
    return basis.to(device), torch.tensor(JPEG_TABLE, dtype=torch.float32, device=device)


def compress(x: Tensor, tones: Tones) -> Tensor:
    """Quantises blocks of 8x8 pixels of 48 as JPEG does, at quality 4 to 60, in some faces."""
    return _change_some(x, _chance(len(x), tones.jpeg, x.device), _compress)


def _compress(x: Tensor) -> Tensor:
    n, device = len(x), x.device
    basis, table = _jpeg_parts(device)
    quality = 4 * torch.exp(_draw(n, 0, math.log(15), device)).view(n, 1, 1, 1, 1)
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    count = VIEW // 16
    blocks = (x - 128).view(n, count, 16, count, 16).transpose(2, 3)
    # Twice the pixels along each axis make the coefficients twice as large.
    step = (table * scale * 2).clamp_min(2)
    waves = basis @ blocks @ basis.T
    back = basis.T @ ((waves / step).round() * step) @ basis
    return (back.transpose(2, 3).reshape(x.shape) + 128).clamp(0, 255)


def grain(x: Tensor, tones: Tones) -> Tensor:
    """Adds noise to some faces, mostly little, and less where the contrast is weak."""
    return _change_some(x, _chance(len(x), tones.noise, x.device), _grain)


def _grain(x: Tensor) -> Tensor:
    n, device = len(x), x.device
    contrast = (x.std(dim=(1, 2, 3), keepdim=True) / 50).clamp(0.15, 1)
    sigma = (3 + 52 * _draw(n, 0, 1, device).square()) * contrast
    half = torch.randn(n, 1, VIEW // 2, VIEW // 2, device=device) * sigma
    noise = half.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return (x + noise).clamp(0, 255)


def erase(x: Tensor, tones: Tones) -> Tensor:
    """Covers a rectangle of some faces with mid gray, one level, or noise."""
    return _change_some(x, _chance(len(x), tones.erase, x.device), _erase)


def _erase(x: Tensor) -> Tensor:
    n, device, side = len(x), x.device, x.shape[-1]
    area = 0.02 + 0.33 * _draw(n, 0, 1, device).pow(1.5)
    ratio = torch.exp(_draw(n, -0.8, 0.8, device))
    half_x, half_y = (area * ratio).sqrt() / 2 * side, (area / ratio).sqrt() / 2 * side
    place = torch.arange(side, device=device) + 0.5
    inside_x = (place.view(1, 1, 1, -1) - _draw(n, 0, side, device)).abs() < half_x
    inside_y = (place.view(1, 1, -1, 1) - _draw(n, 0, side, device)).abs() < half_y
    level = torch.where(
        _chance(n, 0.35, device), torch.full_like(area, 128), _draw(n, 0, 255, device)
    )
    rough = level + torch.randn_like(x) * 60 * _chance(n, 0.2, device)
    return torch.where(inside_x & inside_y, rough.clamp(0, 255), x)


def change_tones(x: Tensor, tones: Tones) -> Tensor:
    """Applies all of it in the order in which a camera and a file would; same shape and range."""
    x = relight(x, tones)
    x = soften(x, tones)
    x = grain(x, tones)
    x = compress(x, tones)
    return erase(x, tones).clamp(0, 255)
