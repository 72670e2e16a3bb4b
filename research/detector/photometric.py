"""Light, colour, blur, noise and compression, for batches of crops on their device."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from research.detector.views import log_uniform, uniform
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class PhotometricConfig:
    """How strongly, and in which share of the crops.

    Args:
        brightness: Largest shift, in gray levels.
        contrast: Largest factor away from 1, as a share.
        tint: Largest factor on one colour away from 1, as a share.
        gray: Share of the crops that lose their colours.
        blur: Share that is blurred.
        noise: Share that gets noise, of a deviation of up to 20 gray levels.
        compress: Share that goes through a JPEG's quantisation.
    """

    brightness: float = 35.0
    contrast: float = 0.35
    tint: float = 0.18
    gray: float = 0.2
    blur: float = 0.2
    noise: float = 0.25
    compress: float = 0.2


def change_light(images: Tensor, config: PhotometricConfig) -> Tensor:
    """Changes gamma, contrast, brightness, tint and saturation of each image (B, 3, H, W)."""
    device, count = images.device, len(images)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return uniform((count, channels, 1, 1), low, high, device).to(images.dtype)

    mean = images.mean(dim=(1, 2, 3), keepdim=True, dtype=torch.float32).to(images.dtype)
    gain = draw(-config.contrast, config.contrast).exp() * draw(-config.tint, config.tint, 3).exp()
    images = (images - mean) * gain + mean + draw(-config.brightness, config.brightness)
    luma = images.mean(dim=1, keepdim=True)
    saturation = draw(0.4, 1.5)
    gray = torch.rand(count, 1, 1, 1, device=device) < config.gray
    saturation = torch.where(gray, torch.zeros_like(saturation), saturation)
    images = (luma + (images - luma) * saturation).clamp(0, 255)
    gamma = torch.where(
        torch.rand(count, 1, 1, 1, device=device) < 0.3, draw(-0.45, 0.45).exp(), draw(1, 1)
    )
    return (images / 255).clamp(min=1e-3).pow(gamma) * 255


def blur(images: Tensor) -> Tensor:
    """Blurs each image (B, 3, H, W) by a Gaussian of its own width, 0.5 to 2.2 pixels."""
    count, channels, height, width = images.shape
    sigma = log_uniform((count,), 0.5, 2.2, images.device)
    reach = 5
    axis = torch.arange(-reach, reach + 1, device=images.device)
    kernel = (-(axis**2) / (2 * sigma[:, None] ** 2)).exp()
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).to(images.dtype)
    kernel = kernel.repeat_interleave(channels, dim=0)
    flat = functional.pad(
        images.reshape(1, count * channels, height, width), (reach,) * 4, mode="replicate"
    )
    flat = functional.conv2d(flat, kernel[:, None, None, :], groups=count * channels)
    flat = functional.conv2d(flat, kernel[:, None, :, None], groups=count * channels)
    return flat.view(count, channels, height, width)


_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip


def compress(images: Tensor) -> Tensor:
    """Quantises 8x8 blocks of each image (B, 3, H, W) as JPEG does, of a random quality."""
    count, _, height, width = images.shape
    device = images.device
    step = torch.arange(8, device=device)
    basis = ((2 * step[None] + 1) * step[:, None] * (math.pi / 16)).cos() / 2
    basis[0] /= math.sqrt(2)
    quality = uniform((count, 1, 1, 1, 1, 1), 12, 70, device)
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    table = torch.tensor(_LUMA_TABLE, device=device, dtype=torch.float32)[:, None, :]
    mix = torch.tensor(
        [[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], device=device
    )
    values = torch.einsum("kc,bchw->bkhw", mix, images.float())
    values[:, 0] -= 128
    blocks = values.view(count, 3, height // 8, 8, width // 8, 8)
    spectrum = torch.einsum("ui,bcyixj->bcyuxj", basis, blocks)
    spectrum = torch.einsum("vj,bcyuxj->bcyuxv", basis, spectrum)
    weight = torch.tensor([1.0, 1.7, 1.7], device=device).view(1, 3, 1, 1, 1, 1)
    quantum = (table * factor * weight).clamp(min=1)
    spectrum = (spectrum / quantum).round() * quantum
    blocks = torch.einsum("ui,bcyuxv->bcyixv", basis, spectrum)
    blocks = torch.einsum("vj,bcyixv->bcyixj", basis, blocks)
    values = blocks.reshape(count, 3, height, width)
    values[:, 0] += 128
    back = torch.tensor([[1, 0, 1.402], [1, -0.344, -0.714], [1, 1.772, 0]], device=device)
    return torch.einsum("kc,bchw->bkhw", back, values).to(images.dtype)


def degrade(images: Tensor, config: PhotometricConfig) -> Tensor:
    """Blurs some images (B, 3, H, W), 0..255, compresses some, and adds noise to some."""
    count, device = len(images), images.device

    def some(share: float) -> Tensor:
        return torch.randperm(count, device=device)[: round(share * count)]

    for share, change in ((config.blur, blur), (config.compress, compress)):
        chosen = some(share)
        if len(chosen):
            images = images.index_copy(0, chosen, change(images[chosen]))
    chosen = some(config.noise)
    if len(chosen):
        noisy = images[chosen]
        sigma = log_uniform((len(chosen), 1, 1, 1), 2, 20, device).to(images.dtype)
        images = images.index_copy(0, chosen, noisy + torch.randn_like(noisy) * sigma)
    return images.clamp(0, 255)
