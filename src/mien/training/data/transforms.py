"""Single changes of batches of faces, by amounts that somebody else has drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Generator, Tensor


def uniform(n: int, low: float, high: float, generator: Generator) -> Tensor:
    """Draws n numbers from low to high."""
    return torch.empty(n, device=generator.device).uniform_(low, high, generator=generator)


def chance(n: int, probability: float, generator: Generator) -> Tensor:
    """Draws n times whether something happens, bool (n,)."""
    return torch.rand(n, generator=generator, device=generator.device) < probability


def warp(faces: Tensor, angle: Tensor, zoom: Tensor, mirror: Tensor, move: Tensor) -> Tensor:
    """Turns, zooms, mirrors and shifts each face in one resampling; borders are mirrored.

    Args:
        faces: (N, C, S, S).
        angle: (N,), radians.
        zoom: (N,), 1 keeps the size.
        mirror: (N,), -1 swaps left and right, 1 does not.
        move: (N, 2) along x and y, in half sides.
    """
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    theta = torch.stack(
        [
            torch.stack([cos * mirror, -sin, move[:, 0]], dim=1),
            torch.stack([sin * mirror, cos, move[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(theta, list(faces.shape), align_corners=False)
    return functional.grid_sample(
        faces, grid.to(faces.dtype), mode="bilinear", padding_mode="reflection", align_corners=False
    )


def retone(faces: Tensor, gamma: Tensor, gain: Tensor, lift: Tensor) -> Tensor:
    """Changes the tones of each face (N, C, S, S) on 0..255.

    Args:
        faces: The faces.
        gamma: (N,), logarithm of the exponent; 0 changes nothing, as for the other two.
        gain: (N,), relative change of contrast about the mean.
        lift: (N,), relative change of the mean.
    """
    gamma, gain, lift = (value.view(-1, 1, 1, 1) for value in (gamma, gain, lift))
    x = (faces / 255).clamp(1e-4, 1).pow(torch.exp(gamma))
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - mean) * (1 + gain) + mean * (1 + lift)
    return x.clamp(0, 1) * 255


def soften(faces: Tensor, sigma: float) -> Tensor:
    """Blurs faces (N, C, S, S) with a Gaussian of ``sigma`` pixels, cut off at three."""
    reach = torch.arange(-3, 4, device=faces.device, dtype=faces.dtype)
    kernel = torch.exp(-0.5 * (reach / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = faces.shape[1]
    x = functional.pad(faces, (3, 3, 3, 3), mode="reflect")
    x = functional.conv2d(x, kernel.view(1, 1, 1, 7).expand(channels, 1, 1, 7), groups=channels)
    return functional.conv2d(x, kernel.view(1, 1, 7, 1).expand(channels, 1, 7, 1), groups=channels)
