"""Batches mixed with themselves: MixUp and CutMix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.training.data.transforms import chance

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from mien.training.config import TrainConfig


def _draw_beta(alpha: float, generator: Generator) -> float:
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    return float(np.random.default_rng(seed).beta(alpha, alpha))


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
    weight = _draw_beta(config.mixup_alpha, generator)
    order = torch.randperm(len(faces), generator=generator, device=generator.device)
    return (
        faces.lerp(faces[order], 1 - weight),
        targets.lerp(targets[order], 1 - weight),
    )


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
