"""RandAugment on whole batches: a few operations on each face, all of one strength.

Cubuk et al. 2019, https://arxiv.org/abs/1909.13719. The operations are those that augmentation
has anyway; what a face's expression would not survive (inverting, shearing it away) is left out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from mien.training.data.transforms import chance, retone, soften, warp

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from mien.training.config import TrainConfig

#: Operation -> its amount at full strength: radians, half sides, logarithms, shares of the mean,
#: pixels, gray levels.
OPERATIONS = {
    "identity": 0.0,
    "rotate": math.radians(30),
    "shift_x": 0.5,
    "shift_y": 0.5,
    "zoom": math.log(1.5),
    "gamma": 0.8,
    "contrast": 0.8,
    "brightness": 0.6,
    "blur": 2.0,
    "noise": 32.0,
}
_NAMES = list(OPERATIONS)
_WARPS = ("rotate", "shift_x", "shift_y", "zoom")
_TONES = ("gamma", "contrast", "brightness")


def operate(faces: Tensor, chosen: Tensor, strength: Tensor, generator: Generator) -> Tensor:
    """Does one operation to each face.

    Args:
        faces: (N, C, S, S) on 0..255.
        chosen: int64 (N,), positions in ``OPERATIONS``.
        strength: (N,), -1..1; blur and noise take its size.
        generator: Of the noise.

    Returns:
        Same shape and range.
    """
    amounts = {
        name: torch.where(chosen == index, strength * most, torch.zeros_like(strength))
        for index, (name, most) in enumerate(OPERATIONS.items())
    }

    def of(names: tuple[str, ...]) -> Tensor:
        wanted = torch.tensor([_NAMES.index(n) for n in names], device=chosen.device)
        return torch.isin(chosen, wanted).nonzero().flatten()

    out = faces.clone()
    if len(rows := of(_WARPS)):
        angle, x, y, zoom = (amounts[name][rows] for name in _WARPS)
        mirror = torch.ones_like(angle)
        out[rows] = warp(faces[rows], angle, zoom.exp(), mirror, torch.stack([x, y], dim=1))
    if len(rows := of(_TONES)):
        out[rows] = retone(faces[rows], *(amounts[name][rows] for name in _TONES))
    if len(rows := of(("blur",))) and (sigma := float(amounts["blur"][rows].abs().max())):
        out[rows] = soften(faces[rows], sigma)
    if len(rows := of(("noise",))):
        part = faces[rows]
        grain = torch.randn(part.shape, generator=generator, device=faces.device)
        level = amounts["noise"][rows].abs().view(-1, 1, 1, 1)
        out[rows] = (part + grain * level).clamp(0, 255)
    return out


def rand_augment(faces: Tensor, config: TrainConfig, generator: Generator) -> Tensor:
    """Does ``config.randaugment`` operations, drawn for each face, to faces (N, C, S, S)."""
    n, device = len(faces), generator.device
    for _ in range(config.randaugment):
        chosen = torch.randint(len(OPERATIONS), (n,), generator=generator, device=device)
        sign = 1.0 - 2.0 * chance(n, 0.5, generator).float()
        faces = operate(faces, chosen, sign * config.randaugment_strength, generator)
    return faces
