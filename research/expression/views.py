"""From stored faces to framed views of 96 pixels: geometry, cut-outs and backgrounds.

A view is float32 (N, 1, 96, 96) on 0..255. A student of 48 pixels sees its 2x2 means, so every
network of a run reads the same view at its own size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from research.expression.bank import SourceFaces

VIEW = 96
EPSILON = 10.0


@dataclass(frozen=True)
class Geometry:
    """How far framing varies.

    Args:
        rotate: Largest turn in degrees.
        zoom: Smallest and largest zoom of most faces.
        wide_zoom: The same for a share ``wide`` of them.
        wide: That share.
        shift: Largest shift along each axis, in sides of the frame.
        stretch: Largest relative change of one axis against the other.
        cut: Share of whole faces that are cut out along an oval.
        black: Share of cut-out faces with black around them; the others get a background.
        fill: Share of whole faces whose missing surroundings become a background.
        mirror: Share of mirrored faces.
    """

    rotate: float = 18
    zoom: tuple[float, float] = (0.86, 1.2)
    wide_zoom: tuple[float, float] = (0.72, 1.38)
    wide: float = 0.4
    shift: float = 0.09
    stretch: float = 0.08
    cut: float = 0.2
    black: float = 0.3
    fill: float = 0.2
    mirror: float = 0.5


#: For the teachers' answers: the face itself, moved a little.
MILD = Geometry(
    rotate=6, zoom=(0.92, 1.1), wide=0.0, shift=0.04, stretch=0.02, cut=0.0, black=0.5, fill=0.0
)


def _coin(probability: float) -> bool:
    """Decides something for a whole batch, on the CPU, so that no GPU is waited for."""
    return float(torch.rand(())) < probability


def uniform(n: int, low: float, high: float, device: torch.device) -> Tensor:
    """Draws n numbers from low to high."""
    return torch.empty(n, device=device).uniform_(low, high)


def sampling_grid(faces: SourceFaces, n: int, geometry: Geometry, side: int = VIEW) -> Tensor:
    """Draws n framings: coordinates (n, side, side, 2) in the stored squares, -1..1."""
    device = faces.images.device
    angle = uniform(n, -1, 1, device) * (geometry.rotate * math.pi / 180)
    low, high = (math.log(value) for value in geometry.zoom)
    log_zoom = uniform(n, low, high, device)
    if geometry.wide:
        low, high = (math.log(value) for value in geometry.wide_zoom)
        wide = torch.rand(n, device=device) < geometry.wide
        log_zoom = torch.where(wide, uniform(n, low, high, device), log_zoom)
    stretch = uniform(n, -geometry.stretch, geometry.stretch, device)
    mirror = 1 - 2 * (torch.rand(n, device=device) < geometry.mirror).float()
    scale_x = faces.frame * torch.exp(-log_zoom + stretch / 2)
    scale_y = faces.frame * torch.exp(-log_zoom - stretch / 2)
    move = torch.empty(n, 2, device=device).uniform_(-1, 1) * (2 * geometry.shift * faces.frame)
    cos, sin = torch.cos(angle), torch.sin(angle)
    theta = torch.stack(
        [
            torch.stack([cos * mirror * scale_x, -sin * scale_y, move[:, 0]], dim=1),
            torch.stack([sin * mirror * scale_x, cos * scale_y, move[:, 1] + 2 * faces.shift_y], 1),
        ],
        dim=1,
    )
    return functional.affine_grid(theta, [n, 1, side, side], align_corners=False)


def sample(images: Tensor, grid: Tensor, *, padding: str, mode: str = "bicubic") -> Tensor:
    """Reads images (N, 1, S, S) on 0..255 at a grid, without overshoot."""
    view = functional.grid_sample(
        images, grid, mode=mode, padding_mode=padding, align_corners=False
    )
    return view.clamp(0, 255)


def ovals(faces: SourceFaces, grid: Tensor) -> Tensor:
    """Draws ellipses about brow, cheeks and chin: (n, 1, H, W), 1 inside, soft edges."""
    n, device = len(grid), grid.device
    center_y = 2 * faces.shift_y + faces.frame * uniform(n, 0.0, 0.12, device)
    half_x = faces.frame * uniform(n, 0.66, 0.9, device)
    half_y = faces.frame * uniform(n, 0.84, 1.0, device)
    x = grid[..., 0] / half_x.view(-1, 1, 1)
    y = (grid[..., 1] - center_y.view(-1, 1, 1)) / half_y.view(-1, 1, 1)
    hard = uniform(n, 10, 40, device).view(-1, 1, 1)
    return torch.sigmoid((1 - (x.square() + y.square()).sqrt()) * hard).unsqueeze(1)


def backgrounds(n: int, material: Tensor, black: float, side: int = VIEW) -> Tensor:
    """Draws n backgrounds (n, 1, side, side): black, plain, ramps, blobs, noise, other pictures.

    Args:
        n: How many.
        material: uint8 (M, 1, S, S), pictures of which enlarged pieces are taken.
        black: Share of black ones.
        side: In pixels.
    """
    device = material.device
    line = torch.linspace(-1, 1, side, device=device)
    level = uniform(n, 0, 255, device).view(n, 1, 1, 1)
    slope = torch.empty(n, 2, 1, 1, 1, device=device).uniform_(-90, 90)
    ramp = level + slope[:, 0] * line.view(1, 1, 1, -1) + slope[:, 1] * line.view(1, 1, -1, 1)
    coarse = torch.randn(n, 1, 7, 7, device=device) * uniform(n, 10, 80, device).view(n, 1, 1, 1)
    blobs = level + functional.interpolate(coarse, size=side, mode="bicubic", align_corners=False)
    fine = torch.randn(n, 1, side // 2, side // 2, device=device).repeat_interleave(2, 2)
    noise = ramp + fine.repeat_interleave(2, 3) * uniform(n, 5, 40, device).view(n, 1, 1, 1)
    chosen = material[torch.randint(len(material), (n,), device=device)].float()
    size = uniform(n, 0.2, 0.6, device)
    angle = uniform(n, -math.pi, math.pi, device)
    place = torch.empty(n, 2, device=device).uniform_(-0.9, 0.9)
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    theta = torch.stack(
        [torch.stack([cos, -sin, place[:, 0]], 1), torch.stack([sin, cos, place[:, 1]], 1)], 1
    )
    grid = functional.affine_grid(theta, [n, 1, side, side], align_corners=False)
    pieces = sample(chosen, grid, padding="reflection", mode="bilinear")
    plain = level.expand(n, 1, side, side)
    kinds = torch.stack([plain * 0.02, plain, ramp, blobs, noise, pieces])
    share = torch.tensor([black, *[(1 - black) * part for part in (0.2, 0.15, 0.15, 0.1, 0.4)]])
    kind = torch.multinomial(share.to(device), n, replacement=True)
    return kinds[kind, torch.arange(n, device=device)].clamp(0, 255)


def draw_view(faces: SourceFaces, index: Tensor, geometry: Geometry, material: Tensor) -> Tensor:
    """Frames chosen faces anew: float32 (n, 1, 96, 96) on 0..255."""
    n, device = len(index), index.device
    grid = sampling_grid(faces, n, geometry)
    images = faces.images[index].float()
    # Both ways to continue a picture occur: mien repeats the border, others mirror it.
    view = sample(images, grid, padding="border" if _coin(0.67) else "reflection")
    if faces.masks is not None:
        masks = faces.masks[index].float() / 255
        mask = sample(masks, grid, padding="zeros", mode="bilinear").clamp(0, 1)
        if _coin(0.5):
            mask = functional.avg_pool2d(mask, 5, 1, 2) * mask
        drawn = torch.ones(n, dtype=torch.bool, device=device)
    else:
        drawn = torch.rand(n, device=device) < geometry.cut
        inside = (grid.abs().amax(dim=-1) < 1).float().unsqueeze(1)
        filled = (torch.rand(n, device=device) < geometry.fill) & ~drawn
        cut = torch.where(drawn.view(n, 1, 1, 1), ovals(faces, grid), torch.ones_like(view))
        mask = torch.where(filled.view(n, 1, 1, 1), inside, cut)
        if not geometry.cut and not geometry.fill:
            return view
    behind = drawn if faces.masks is not None else drawn | filled
    if view.is_cuda:  # Counting them would make the CPU wait for the GPU.
        return view * mask + backgrounds(n, material, geometry.black) * (1 - mask)
    place = behind.nonzero()[:, 0]
    if not len(place):
        return view
    part = mask[place]
    drawn_behind = backgrounds(len(place), material, geometry.black) * (1 - part)
    return view.index_copy(0, place, view[place] * part + drawn_behind)


def plain_view(faces: SourceFaces, index: Tensor, *, zoom: float = 1.0, side: int = VIEW) -> Tensor:
    """Frames faces without chance, as evaluation does; the stored square where it is the frame.

    ``affect`` is read as it is stored, oval and all.
    """
    still = Geometry(
        rotate=0, zoom=(zoom, zoom), wide=0, shift=0, stretch=0, cut=0, fill=0, mirror=0
    )
    images = faces.images[index].float()
    whole = faces.frame > 0.99
    if whole and zoom == 1.0:
        antialias = side < images.shape[-1]
        mode = "bilinear" if antialias else "bicubic"
        return functional.interpolate(
            images, size=side, mode=mode, align_corners=False, antialias=antialias
        ).clamp(0, 255)
    view = sample(images, sampling_grid(faces, len(index), still), padding="border")
    return resize(view, side)


def resize(view: Tensor, side: int) -> Tensor:
    """Brings views (N, 1, 96, 96) to a network's side."""
    if view.shape[-1] == side:
        return view
    if view.shape[-1] == 2 * side:
        return functional.avg_pool2d(view, 2)
    return functional.interpolate(
        view, size=side, mode="bilinear", align_corners=False, antialias=True
    )


def standardize(faces: Tensor) -> Tensor:
    """The per-image normalisation of :mod:`mien.preprocess`, epsilon 10, (N, 1, S, S)."""
    x = faces - faces.mean(dim=(1, 2, 3), keepdim=True)
    return x / (x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + EPSILON)
