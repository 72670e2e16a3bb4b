"""Augmentation of whole batches on whatever device they lie.

Faces are float tensors (N, C, S, S) on 0..255. All randomness comes from one generator, so a seed
fixes every picture of an epoch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from mien.config import load_object
from mien.errors import ConfigError
from mien.training.data.randaugment import rand_augment
from mien.training.data.transforms import chance, retone, soften, uniform, warp

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from mien.preprocess import Preprocessing
    from mien.training.config import TrainConfig


def affine(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Flips, turns, zooms and shifts each face by chance, see :func:`warp`."""
    n = len(faces)
    angle = uniform(n, -config.rotate, config.rotate, generator) * (math.pi / 180)
    zoom = torch.exp(uniform(n, math.log(config.scale_min), math.log(config.scale_max), generator))
    mirror = 1.0 - 2.0 * chance(n, config.flip, generator).float()
    move = uniform(2 * n, -2 * config.shift, 2 * config.shift, generator).view(n, 2)
    return warp(faces, angle, zoom, mirror, move)


def relight(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Changes gamma, contrast and brightness of each face by up to ``config.light``."""
    n, most = len(faces), config.light
    gamma, gain, lift = (uniform(n, -most, most, generator) for _ in range(3))
    return retone(faces, gamma, gain, lift)


def blur(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Blurs some faces with a Gaussian of 0.4 to 1.4 pixels."""
    chosen = chance(len(faces), config.blur, generator)
    sigma = float(uniform(1, 0.4, 1.4, generator))
    if not bool(chosen.any()):
        return faces
    out = faces.clone()
    out[chosen] = soften(faces[chosen], sigma)
    return out


def lower_resolution(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Shrinks some faces, to 80 % at most, and scales them up again, as small faces are."""
    chosen = chance(len(faces), config.low_resolution, generator)
    factor = float(uniform(1, config.low_resolution_min, 0.8, generator))
    if not bool(chosen.any()):
        return faces
    side = faces.shape[-1]
    small = max(int(side * factor), 4)
    x = functional.interpolate(faces[chosen], size=small, mode="bilinear", antialias=True)
    out = faces.clone()
    out[chosen] = functional.interpolate(x, size=side, mode="bilinear", align_corners=False)
    return out


def add_noise(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Adds Gaussian noise of up to 16 gray levels to some faces."""
    n = len(faces)
    level = uniform(n, 0, 16, generator) * chance(n, config.noise, generator)
    grain = torch.randn(faces.shape, generator=generator, device=faces.device)
    return (faces + grain * level.view(n, 1, 1, 1)).clamp(0, 255)


def erase(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Fills a rectangle of 2 to 20 % of the area of some faces with one random gray level.

    After Zhong et al. 2017, https://arxiv.org/abs/1708.04896.
    """
    n, side = len(faces), faces.shape[-1]
    area = uniform(n, 0.02, 0.2, generator) * chance(n, config.erase, generator)
    ratio = torch.exp(uniform(n, math.log(0.4), math.log(2.5), generator))
    half_w, half_h = torch.sqrt(area * ratio) / 2 * side, torch.sqrt(area / ratio) / 2 * side
    center_x, center_y = (uniform(n, 0, side, generator).view(n, 1, 1) for _ in range(2))
    level = uniform(n, 0, 255, generator).view(n, 1, 1, 1)
    index = torch.arange(side, device=faces.device, dtype=faces.dtype) + 0.5
    inside_x = (index.view(1, 1, side) - center_x).abs() < half_w.view(n, 1, 1)
    inside_y = (index.view(1, side, 1) - center_y).abs() < half_h.view(n, 1, 1)
    return torch.where((inside_x & inside_y).unsqueeze(1), level.to(faces.dtype), faces)


def augment(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Applies the recipe's augmentation to faces (N, C, S, S) on 0..255; same shape and range."""
    faces = affine(faces, config, generator)
    if config.light:
        faces = relight(faces, config, generator)
    if config.blur:
        faces = blur(faces, config, generator)
    if config.low_resolution:
        faces = lower_resolution(faces, config, generator)
    if config.randaugment:
        faces = rand_augment(faces, config, generator)
    if config.noise:
        faces = add_noise(faces, config, generator)
    if config.erase:
        faces = erase(faces, config, generator)
    return _own(faces, config, generator) if config.augmentation else faces


def _own(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Applies the user's own augmentation, whose draws from PyTorch's generator repeat too."""
    change = load_object(config.augmentation, "augmentation")
    seed = torch.randint(2**31, (1,), generator=generator, device=faces.device)
    with torch.random.fork_rng(devices=[faces.device] if faces.is_cuda else []):
        torch.manual_seed(int(seed))
        changed: Tensor = change(faces)
    if changed.shape != faces.shape:
        raise ConfigError(
            f"{config.augmentation!r} must return faces of shape {tuple(faces.shape)}; "
            f"got {tuple(changed.shape)}",
            subject="augmentation",
        )
    return changed.to(faces.dtype)


def normalize_tensor(faces: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The torch form of :func:`mien.preprocess.normalize`: (N, C, S, S) on 0..255 to inputs."""
    if preprocessing.normalization == "per_image":
        x = faces - faces.mean(dim=(1, 2, 3), keepdim=True)
        std = x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return x / (std + preprocessing.epsilon)
    mean = torch.tensor(preprocessing.mean, device=faces.device, dtype=faces.dtype)
    std = torch.tensor(preprocessing.std, device=faces.device, dtype=faces.dtype)
    return (faces / 255 - mean.view(1, -1, 1, 1)) / std.view(1, -1, 1, 1)
