"""How crops of candidates are framed, and changed in training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from mien.models.verifier import SIDE
from mien.train.finder.candidates import MARGIN

if TYPE_CHECKING:
    from torch import Tensor

_ZOOM, _TURN, _SHIFT = 0.1, 0.2, 0.1
_GAMMA = 0.4
_SMALL, _LOUD = 0.15, 0.2


def _look(crops: Tensor, matrix: Tensor) -> Tensor:
    grid = functional.affine_grid(matrix, [len(crops), 1, SIDE, SIDE], align_corners=False)
    return functional.grid_sample(
        crops[:, None].float(), grid, padding_mode="border", align_corners=False
    )


def framed(crops: Tensor) -> Tensor:
    """Returns the detector's squares (N, 1, 48, 48), 0..255, of crops uint8 (N, 64, 64)."""
    matrix = torch.tensor([[1 / MARGIN, 0, 0], [0, 1 / MARGIN, 0]]).expand(len(crops), 2, 3)
    return _look(crops, matrix).round()


def change(crops: Tensor, dice: torch.Generator) -> Tensor:
    """Returns squares as :func:`framed` does, each moved, lit and spoiled by chance.

    Zoom by 10 %, turned by 11 degrees, shifted by 5 % of the side, mirrored; gamma; some made
    small and large again, some noisy.
    """
    count = len(crops)

    def uniform(reach: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=dice) * 2 - 1) * reach

    zoom = uniform(_ZOOM).exp() / MARGIN
    angle, flip = uniform(_TURN), uniform(1).sign()
    across, along = zoom * angle.cos(), zoom * angle.sin()
    rows = [
        torch.stack([across * flip, -along, uniform(_SHIFT)], 1),
        torch.stack([along * flip, across, uniform(_SHIFT)], 1),
    ]
    faces = _look(crops, torch.stack(rows, 1))
    faces = 255 * (faces / 255).clamp(1e-4, 1) ** uniform(_GAMMA, 1, 1, 1).exp()
    small = torch.rand(count, generator=dice) < _SMALL
    side = math.floor(SIDE * (0.3 + 0.4 * float(torch.rand(1, generator=dice))))
    if small.any():
        tiny = functional.interpolate(faces[small], size=side, mode="bilinear", antialias=True)
        faces[small] = functional.interpolate(tiny, size=SIDE, mode="bilinear")
    loud = (torch.rand(count, 1, 1, 1, generator=dice) < _LOUD) * uniform(10.0, 1, 1, 1)
    faces = faces + torch.randn(faces.shape, generator=dice) * loud
    return faces.clamp(0, 255)
