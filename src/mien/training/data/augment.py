"""Augmentation of whole batches on whatever device they lie, and batches mixed with themselves.

Faces are float tensors (N, C, S, S) on 0..255. All randomness comes from one generator, so a seed
fixes every picture of an epoch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from mien.config import load_object
from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    from mien.training.config import TrainConfig

#: Operation of RandAugment -> its amount at full strength: radians, half sides, logarithms, shares
#: of the mean, pixels, gray levels. What a face's expression would not survive (inverting, shearing
#: it away) is left out.
OPERATIONS = {
    "identity": 0.0, "rotate": math.radians(30), "shift_x": 0.5, "shift_y": 0.5,
    "zoom": math.log(1.5), "gamma": 0.8, "contrast": 0.8, "brightness": 0.6, "blur": 2.0,
    "noise": 32.0,
}  # fmt: skip


def uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    """Draws n numbers from low to high."""
    return torch.empty(n, device=generator.device).uniform_(low, high, generator=generator)


def chance(n: int, probability: float, generator: Generator) -> Tensor:
    """Draws n times whether something happens, bool (n,)."""
    return torch.rand(n, generator=generator, device=generator.device) < probability


def warp(faces: Tensor, angle: Tensor, zoom: Tensor, mirror: Tensor, move: Tensor) -> Tensor:
    """Turns, zooms, mirrors and shifts each face in one resampling; borders are mirrored.

    Of N faces ``angle`` is in radians, ``zoom`` 1 keeps the size, ``mirror`` -1 swaps left and
    right, 1 does not, ``move`` (N, 2) is along x and y in half sides.
    """
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = ([cos * mirror, -sin, move[:, 0]], [sin * mirror, cos, move[:, 1]])
    theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = functional.affine_grid(theta, list(faces.shape), align_corners=False)
    return functional.grid_sample(
        faces, grid.to(faces.dtype), mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _retone(faces: Tensor, gamma: Tensor, gain: Tensor, lift: Tensor) -> Tensor:
    """Changes tones by (N,): logarithm of the exponent, contrast, and mean; 0 changes nothing."""
    gamma, gain, lift = (value.view(-1, 1, 1, 1) for value in (gamma, gain, lift))
    x = (faces / 255).clamp(1e-4, 1).pow(torch.exp(gamma))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - mean) * (1 + gain) + mean * (1 + lift)
    return x.clamp(0, 1) * 255


def _soften(faces: Tensor, sigma: float) -> Tensor:
    """Blurs with a Gaussian of ``sigma`` pixels, cut off at three."""
    reach = torch.arange(-3, 4, device=faces.device, dtype=faces.dtype)
    kernel = torch.exp(-0.5 * (reach / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = faces.shape[1]
    x = functional.pad(faces, (3, 3, 3, 3), mode="reflect")
    x = functional.conv2d(x, kernel.view(1, 1, 1, 7).expand(channels, 1, 1, 7), groups=channels)
    return functional.conv2d(x, kernel.view(1, 1, 7, 1).expand(channels, 1, 7, 1), groups=channels)


def _add_grain(faces: Tensor, level: Tensor, generator: Generator) -> Tensor:
    """Adds Gaussian noise of (N,) gray levels."""
    grain = torch.randn(faces.shape, generator=generator, device=faces.device)
    return (faces + grain * level.view(-1, 1, 1, 1)).clamp(0, 255)


def _change_some(faces: Tensor, which: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Changes the faces of a mask (N,) or of positions."""
    if not len(chosen := faces[which]):
        return faces
    out = faces.clone()
    out[which] = change(chosen)
    return out


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
    most = config.light
    return _retone(faces, *(uniform(len(faces), -most, most, generator) for _ in range(3)))


def blur(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Blurs some faces with a Gaussian of 0.4 to 1.4 pixels."""
    chosen = chance(len(faces), config.blur, generator)
    sigma = float(uniform(1, 0.4, 1.4, generator))
    return _change_some(faces, chosen, lambda part: _soften(part, sigma))


def lower_resolution(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Shrinks some faces, to 80 % at most, and scales them up again, as small faces are."""
    chosen = chance(len(faces), config.low_resolution, generator)
    factor = float(uniform(1, config.low_resolution_min, 0.8, generator))
    side = faces.shape[-1]

    def shrink(part: Tensor) -> Tensor:
        small = max(int(side * factor), 4)
        x = functional.interpolate(part, size=small, mode="bilinear", antialias=True)
        return functional.interpolate(x, size=side, mode="bilinear", align_corners=False)

    return _change_some(faces, chosen, shrink)


def rand_augment(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Does ``config.randaugment`` operations, drawn for each face, to faces (N, C, S, S).

    All are of one strength: Cubuk et al. 2019, https://arxiv.org/abs/1909.13719.
    """
    n, device = len(faces), generator.device
    for _ in range(config.randaugment):
        chosen = torch.randint(len(OPERATIONS), (n,), generator=generator, device=device)
        sign = 1.0 - 2.0 * chance(n, 0.5, generator).float()
        faces = operate(faces, chosen, sign * config.randaugment_strength, generator)
    return faces


def operate(faces: Tensor, chosen: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Does one operation to each face (N, C, S, S).

    ``chosen`` is int64 (N,), positions in ``OPERATIONS``; ``strength`` is (N,) on -1..1, and blur
    and noise take its size.
    """
    names = list(OPERATIONS)

    def apply(change: Callable[..., Tensor], *wanted: str) -> None:
        nonlocal faces
        numbers = torch.tensor([names.index(name) for name in wanted], device=chosen.device)
        rows = torch.isin(chosen, numbers).nonzero().flatten()
        amounts = [
            torch.where(chosen == names.index(name), strength * OPERATIONS[name], 0.0)[rows]
            for name in wanted
        ]
        faces = _change_some(faces, rows, lambda part: change(part, *amounts))

    def move(part: Tensor, angle: Tensor, x: Tensor, y: Tensor, zoom: Tensor) -> Tensor:
        return warp(part, angle, zoom.exp(), torch.ones_like(angle), torch.stack([x, y], dim=1))

    def soften(part: Tensor, sigmas: Tensor) -> Tensor:
        sigma = float(sigmas.abs().max())
        return _soften(part, sigma) if sigma else part

    apply(move, "rotate", "shift_x", "shift_y", "zoom")
    apply(_retone, "gamma", "contrast", "brightness")
    apply(soften, "blur")
    apply(lambda part, level: _add_grain(part, level.abs(), generator), "noise")
    return faces


def add_noise(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Adds Gaussian noise of up to 16 gray levels to some faces."""
    n = len(faces)
    level = uniform(n, 0, 16, generator) * chance(n, config.noise, generator)
    return _add_grain(faces, level, generator)


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
    for _, key, change in TECHNIQUES:
        faces = change(faces, config, generator) if not key or getattr(config, key) else faces
    return faces


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


#: In their order: what they are called, the key of the recipe that turns them on, what they do.
TECHNIQUES: tuple[tuple[str, str, Callable[[Tensor, TrainConfig, Generator], Tensor]], ...] = (
    ("flip, turn, zoom", "", affine), ("light", "light", relight), ("blur", "blur", blur),
    ("low resolution", "low_resolution", lower_resolution),
    ("RandAugment", "randaugment", rand_augment), ("noise", "noise", add_noise),
    ("erase", "erase", erase), ("your own", "augmentation", _own),
)  # fmt: skip


def mix_batch(
    faces: Tensor, targets: Tensor, config: TrainConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Does CutMix to some batches, MixUp to some of the others, as the recipe says."""
    if config.cutmix and bool(chance(1, config.cutmix, generator)):
        return cut_mix(faces, targets, config, generator)
    return mix_up(faces, targets, config, generator)


def mix_up(
    faces: Tensor, targets: Tensor, config: TrainConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Blends some batches with a shuffled copy of themselves.

    Zhang et al. 2018, https://arxiv.org/abs/1710.09412: one weight a batch, drawn from
    Beta(alpha, alpha), blends faces (N, C, S, S) and target distributions (N, K) alike.
    """
    if not bool(chance(1, config.mixup, generator)):
        return faces, targets
    share = 1 - _draw_beta(config.mixup_alpha, generator)
    order = torch.randperm(len(faces), generator=generator, device=generator.device)
    return faces.lerp(faces[order], share), targets.lerp(targets[order], share)


def cut_mix(
    faces: Tensor, targets: Tensor, config: TrainConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Puts a rectangle of a shuffled copy into each face of a batch.

    Yun et al. 2019, https://arxiv.org/abs/1905.04899: one rectangle a batch, whose share of the
    picture is drawn from Beta(alpha, alpha) and cut off at the border; targets (N, K) are blended
    by the share that it really covers.
    """
    side = faces.shape[-1]
    half = (1 - _draw_beta(config.cutmix_alpha, generator)) ** 0.5 * side / 2
    middle = torch.randint(side, (2,), generator=generator, device=generator.device).tolist()
    (top, left), (bottom, right) = (
        [round(min(max(place + sign * half, 0), side)) for place in middle] for sign in (-1, 1)
    )
    order = torch.randperm(len(faces), generator=generator, device=generator.device)
    mixed = faces.clone()
    mixed[:, :, top:bottom, left:right] = faces[order, :, top:bottom, left:right]
    share = (bottom - top) * (right - left) / side**2
    return mixed, targets.lerp(targets[order], share)


def _draw_beta(alpha: float, generator: Generator) -> float:
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    return float(np.random.default_rng(seed).beta(alpha, alpha))
