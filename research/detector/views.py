"""Random views of the photographs: which image, which part of it, at which size and angle.

Everything is done for a whole batch at once on the device of the bank: a view is an affine map
from the pixels of the crop to those of the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from research.detector.bank import LEVELS, Bank
from research.detector.teachers import MIRRORED
from torch import Tensor


@dataclass(frozen=True)
class ViewConfig:
    """How views are chosen.

    Args:
        size: Side of a crop, in pixels; a multiple of 32.
        shares: Weight of each source, in the order of ``SOURCES``.
        focus: Share of the views of an image with faces that bring one of them to a random size.
        face_range: Smallest and largest longer side of that face, in pixels of the crop.
        scale_range: Smallest and largest enlargement of the other views.
        max_scale: Most that an image is enlarged.
        turn: Standard deviation of the angle, in degrees; one view of six turns up to five times
            as far.
        stretch: Most that width changes against height, as a share.
        min_face: Faces smaller than this in the crop are ignored, in pixels.
        min_visible: Faces of which a smaller share lies in the crop are ignored.
        max_regions: Most faces of a crop that are learned from; others are ignored.
    """

    size: int = 384
    shares: tuple[float, ...] = (0.36, 0.12, 0.08, 0.13, 0.11, 0.05, 0.07, 0.08)
    focus: float = 0.65
    face_range: tuple[float, float] = (9.0, 330.0)
    scale_range: tuple[float, float] = (0.4, 1.5)
    max_scale: float = 3.0
    turn: float = 8.0
    stretch: float = 0.12
    min_face: float = 7.0
    min_visible: float = 0.6
    max_regions: int = 160


@dataclass
class Regions:
    """What lies in the crops of a batch: B crops, M regions at most.

    Args:
        boxes: (B, M, 4), cut at the border of the crop.
        points: (B, M, 5, 2); NaN where unknown.
        target: (B, M), how certain it is that this is a face, 0..1.
        state: int8 (B, M): 1 a face to learn, 0 a face to ignore, -1 nothing.
    """

    boxes: Tensor
    points: Tensor
    target: Tensor
    state: Tensor


def uniform(shape: tuple[int, ...], low: float, high: float, device: torch.device) -> Tensor:
    """Random numbers, evenly from ``low`` to ``high``."""
    return torch.rand(shape, device=device) * (high - low) + low


def log_uniform(shape: tuple[int, ...], low: float, high: float, device: torch.device) -> Tensor:
    """Random numbers whose logarithm is even."""
    return uniform(shape, math.log(low), math.log(high), device).exp()


def choose_images(bank: Bank, config: ViewConfig, count: int) -> Tensor:
    """Chooses images by the shares of their sources; returns indices (count,)."""
    shares = torch.tensor(config.shares, device=bank.device)
    totals = torch.bincount(bank.source, minlength=len(shares)).clamp(min=1)
    return torch.multinomial((shares / totals)[bank.source], count, replacement=True)


def choose_views(bank: Bank, images: Tensor, config: ViewConfig) -> Tensor:
    """Chooses a view of each image.

    Args:
        bank: The images.
        images: (B,), which.
        config: The rules.

    Returns:
        (B, 2, 3), maps from pixels of the image to those of the crop.
    """
    device, count = bank.device, (len(images),)
    size = bank.size[images, 0].float()
    faces = bank.counts[images]
    row = bank.rows[images] + (torch.rand(count, device=device) * faces).long()
    row = row.clamp(max=max(len(bank.boxes) - 1, 0))
    box = bank.boxes[row]
    side = (box[:, 2:] - box[:, :2]).amax(dim=1).clamp(min=1)
    focused = (faces > 0) & (torch.rand(count, device=device) < config.focus)
    wanted = log_uniform(count, *config.face_range, device)
    scale = torch.where(focused, wanted / side, log_uniform(count, *config.scale_range, device))
    scale = scale.clamp(min=0.08, max=config.max_scale)
    # Where an image would leave most of the crop empty, enlarge it.
    least = config.size / size.amax(dim=1) * uniform(count, 0.65, 1.3, device)
    scale = torch.maximum(scale, least.clamp(max=config.max_scale))
    spot = torch.where(
        focused[:, None], (box[:, :2] + box[:, 2:]) / 2, torch.rand(*count, 2, device=device) * size
    )
    place = uniform((*count, 2), 0.1, 0.9, device) * config.size
    mirror = torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
    # Neither look past the border of a large image without need, nor cut a small one.
    before = torch.where(
        (mirror < 0)[:, None] & torch.tensor([True, False], device=device), size - spot, spot
    )
    corner, room = place - before * scale[:, None], config.size - size * scale[:, None]
    spare = 0.08 * config.size * torch.rand(*count, 2, device=device)
    fitting = corner.maximum(room.clamp(max=0) - spare).minimum(room.clamp(min=0) + spare)
    place = place + fitting - corner
    turn = torch.randn(count, device=device) * config.turn
    wide = torch.rand(count, device=device) < 1 / 6
    turn = torch.where(wide, uniform(count, -5, 5, device) * config.turn, turn)
    turn = torch.where(torch.rand(count, device=device) < 0.3, torch.zeros_like(turn), turn)
    turn = turn * (math.pi / 180)
    stretch = uniform(count, -config.stretch, config.stretch, device).exp()
    cos, sin = turn.cos(), turn.sin()
    scale_x, scale_y = scale * stretch.sqrt() * mirror, scale / stretch.sqrt()
    matrix = torch.stack([cos * scale_x, -sin * scale_y, sin * scale_x, cos * scale_y], dim=1).view(
        -1, 2, 2
    )
    offset = place - (matrix @ spot[:, :, None])[:, :, 0]
    return torch.cat([matrix, offset[:, :, None]], dim=2)


def render(bank: Bank, images: Tensor, views: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Samples crops.

    Args:
        bank: The images.
        images: (B,), which.
        views: (B, 2, 3), maps from the image to the crop.
        size: Side of a crop.
        dtype: Of the result.

    Returns:
        (B, 4, size, size): RGB 0..255, and the share to ignore 0..1.
    """
    device, count = bank.device, len(images)
    a, b, c, d = views[:, :, :2].reshape(-1, 4).unbind(dim=1)
    back = torch.stack([d, -b, -c, a], dim=1) / (a * d - b * c)[:, None]
    back = back.view(-1, 2, 2)
    shrink = back.square().sum(dim=(1, 2)).div(2).sqrt()
    level = (shrink.log2() + uniform((count,), -0.35, 0.75, device)).round()
    level = level.clamp(0, LEVELS - 1).long()
    factor = 0.5 ** level.float()
    axis = torch.arange(size, device=device) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    shift = -(back @ views[:, :, 2:])[:, :, 0]

    def along(row: int) -> Tensor:
        values = back[:, row, 0].view(-1, 1, 1) * x + back[:, row, 1].view(-1, 1, 1) * y
        return (values + shift[:, row].view(-1, 1, 1)) * factor.view(-1, 1, 1) - 0.5

    u, v = along(0), along(1)
    width, height = bank.size[images, level].unbind(dim=1)
    width, height = width.view(-1, 1, 1), height.view(-1, 1, 1)
    outside = (u < -0.5) | (v < -0.5) | (u > width - 0.5) | (v > height - 0.5)
    left, top = u.floor(), v.floor()
    part_x, part_y = (u - left).to(dtype)[..., None], (v - top).to(dtype)[..., None]
    left, top = left.long(), top.long()
    base = bank.base[images, level].view(-1, 1, 1)
    x0, x1 = (left + step for step in (0, 1))
    x0, x1 = x0.clamp(min=0).minimum(width - 1), x1.clamp(min=0).minimum(width - 1)

    def line(step: int) -> Tensor:
        begin = base + (top + step).clamp(min=0).minimum(height - 1) * width
        first = bank.pixels[begin + x0].view(torch.uint8).view(count, size, size, 4).to(dtype)
        second = bank.pixels[begin + x1].view(torch.uint8).view(count, size, size, 4).to(dtype)
        return torch.lerp(first, second, part_x)

    crops = torch.lerp(line(0), line(1), part_y)
    crops[..., 3] /= 127
    shade = torch.rand(count, 4, device=device) * 255
    shade[torch.rand(count, device=device) < 0.75] = 0
    shade[:, 3] = 0
    crops = torch.where(outside[..., None], shade.to(dtype).view(-1, 1, 1, 4), crops)
    return crops.permute(0, 3, 1, 2)


def move_boxes(boxes: Tensor, views: Tensor) -> Tensor:
    """Maps boxes (B, M, 4): each becomes the box around the turned ellipse that filled it."""
    matrix, offset = views[:, None, :, :2], views[:, None, :, 2]
    centre = ((boxes[..., :2] + boxes[..., 2:]) / 2)[..., None]
    half = (boxes[..., 2:] - boxes[..., :2]) / 2
    middle = (matrix @ centre)[..., 0] + offset
    reach = (matrix.square() @ half.square()[..., None])[..., 0].sqrt()
    return torch.cat([middle - reach, middle + reach], dim=-1)


def move_points(points: Tensor, views: Tensor) -> Tensor:
    """Maps points (B, M, 5, 2); in a mirrored view right and left change places."""
    moved = points @ views[:, None, :, :2].transpose(2, 3) + views[:, None, None, :, 2]
    mirrored = views[:, 0, 0] * views[:, 1, 1] < views[:, 0, 1] * views[:, 1, 0]
    return torch.where(mirrored[:, None, None, None], moved[:, :, MIRRORED], moved)


def clip_boxes(boxes: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Cuts boxes (B, M, 4) at frames (B or 1, 1, 4).

    Returns:
        The boxes, and of each the share (B, M) that is left.
    """
    low, high = frame[..., :2], frame[..., 2:]
    whole = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-3).prod(dim=-1)
    first = boxes[..., :2].maximum(low).minimum(high)
    second = boxes[..., 2:].maximum(low).minimum(high)
    left = (second - first).clamp(min=0).prod(dim=-1) / whole
    return torch.cat([first, second], dim=-1), left


def choose_regions(regions: Regions, count: int) -> Regions:
    """Keeps ``count`` regions of each crop: faces to learn first, then faces to ignore."""
    rank = regions.state.float() + torch.rand_like(regions.target) * 0.5
    count = min(count, rank.shape[1])
    index = rank.topk(count, dim=1).indices
    return Regions(
        regions.boxes.gather(1, index[..., None].expand(-1, -1, 4)),
        regions.points.gather(1, index[..., None, None].expand(-1, -1, 5, 2)),
        regions.target.gather(1, index),
        regions.state.gather(1, index),
    )


def find_regions(bank: Bank, images: Tensor, views: Tensor, config: ViewConfig) -> Regions:
    """Returns the faces that lie in the crops."""
    counts = bank.counts[images]
    most = max(int(counts.max()), 1)
    slot = torch.arange(most, device=bank.device)
    held = slot < counts[:, None]
    rows = (bank.rows[images][:, None] + slot).clamp(max=max(len(bank.boxes) - 1, 0))
    boxes = move_boxes(bank.boxes[rows], views)
    points = move_points(bank.points[rows], views)
    frame = torch.tensor([0.0, 0.0, config.size, config.size], device=bank.device)
    boxes, visible = clip_boxes(boxes, frame.view(1, 1, 4))
    side = (boxes[..., 2:] - boxes[..., :2]).amax(dim=-1)
    learned = (visible >= config.min_visible) & (side >= config.min_face)
    state = torch.where(learned, 1, 0)
    state = torch.where(held & (visible > 0.03) & (side >= 2), state, -1).to(torch.int8)
    return choose_regions(Regions(boxes, points, bank.target[rows], state), config.max_regions)
