"""Which cells answer for which face: a sparse SimOTA (Ge et al., "YOLOX", 2021).

For each face only the cells around its centre are looked at, so the cost does not grow with the
number of cells: of these, those whose present answer fits best are assigned, as many as the sum of
the ten best overlaps says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from research.detector.network import STRIDES, decode_boxes
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from research.detector.views import Regions

#: Longer sides of the faces, in pixels, that each stride answers for; they overlap on purpose.
RANGES = ((0.0, 80.0), (28.0, 176.0), (72.0, 1e6))
_REACH = 2


@dataclass(frozen=True)
class Cells:
    """The cells of an input: A in all.

    Args:
        centres: (A, 2), x and y in pixels.
        strides: (A,).
        shape: Rows and columns of each stride.
        begin: Index of the first cell of each stride.
    """

    centres: Tensor
    strides: Tensor
    shape: tuple[tuple[int, int], ...]
    begin: tuple[int, ...]


@dataclass(frozen=True)
class Targets:
    """What the cells of a batch should say; P of them answer for a face.

    Args:
        cell: int64 (P,), index into the B * A cells of the batch.
        boxes: (P, 4), the face's.
        points: (P, 5, 2), NaN where unknown.
        target: (P,), how certain it is that this is a face.
        unlearned: bool (B * A,), cells whose score is not learned from.
    """

    cell: Tensor
    boxes: Tensor
    points: Tensor
    target: Tensor
    unlearned: Tensor


def make_cells(height: int, width: int, device: torch.device) -> Cells:
    """Returns the cells of an input of this size."""
    from research.detector.network import cell_grid

    centres, strides = cell_grid(height, width, device)
    shape = tuple((height // stride, width // stride) for stride in STRIDES)
    begin = (0, shape[0][0] * shape[0][1], shape[0][0] * shape[0][1] + shape[1][0] * shape[1][1])
    return Cells(centres, strides, shape, begin)


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Overlap of boxes (..., 4) with boxes (..., 4), pair by pair."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    areas = (first[..., 2:] - first[..., :2]).prod(dim=-1)
    others = (second[..., 2:] - second[..., :2]).prod(dim=-1)
    return shared / (areas + others - shared).clamp(min=1e-6)


def candidate_cells(boxes: Tensor, cells: Cells) -> tuple[Tensor, Tensor]:
    """Cells around the centres of boxes.

    Args:
        boxes: (G, 4).
        cells: Of the input.

    Returns:
        Indices (G, K) of cells, and whether (G, K) each may answer: it exists, its centre lies
        near the middle of the box, and its stride answers for boxes of that size.
    """
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    sizes = boxes[:, 2:] - boxes[:, :2]
    side = sizes.amax(dim=1)
    steps = torch.arange(-_REACH, _REACH + 1, device=boxes.device)
    dy, dx = (grid.reshape(-1) for grid in torch.meshgrid(steps, steps, indexing="ij"))
    indices, allowed = [], []
    for level, stride in enumerate(STRIDES):
        rows, columns = cells.shape[level]
        x = (middle[:, :1] / stride).floor().long() + dx
        y = (middle[:, 1:] / stride).floor().long() + dy
        exists = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        away_x = ((x + 0.5) * stride - middle[:, :1]).abs()
        away_y = ((y + 0.5) * stride - middle[:, 1:]).abs()
        # The cell that holds the centre is at most half a stride away: it always qualifies.
        near = (away_x <= (0.3 * sizes[:, :1]).clamp(min=0.75 * stride)) & (
            away_y <= (0.3 * sizes[:, 1:]).clamp(min=0.75 * stride)
        )
        low, high = RANGES[level]
        fits = ((side >= low) & (side < high))[:, None]
        indices.append(
            cells.begin[level] + y.clamp(0, rows - 1) * columns + x.clamp(0, columns - 1)
        )
        allowed.append(exists & near & fits)
    return torch.cat(indices, dim=1), torch.cat(allowed, dim=1)


def ignored_cells(ignored: Tensor) -> Tensor:
    """Cells (B, A) that lie in regions to ignore, from their mask (B, 1, H, W)."""
    parts, share = [], functional.avg_pool2d(ignored, STRIDES[0])
    for level in range(len(STRIDES)):
        if level:
            share = functional.avg_pool2d(share, 2)
        parts.append((share > 0.15 + 0.1 * level).flatten(1))
    return torch.cat(parts, dim=1)


@torch.no_grad()
def assign(cells: Cells, outputs: Tensor, regions: Regions, ignored: Tensor) -> Targets:
    """Assigns faces to cells.

    Args:
        cells: Of the input.
        outputs: (B, A, 15), the network's present answers, float32.
        regions: The faces of the batch.
        ignored: (B, 1, S, S), share of each pixel to ignore.
    """
    count, total, _ = outputs.shape
    unlearned = ignored_cells(ignored).reshape(-1)
    crop, slot = (regions.state == 0).nonzero(as_tuple=True)
    index, allowed = candidate_cells(regions.boxes[crop, slot], cells)
    unlearned[(crop[:, None] * total + index)[allowed]] = True
    crop, slot = (regions.state == 1).nonzero(as_tuple=True)
    boxes = regions.boxes[crop, slot]
    index, allowed = candidate_cells(boxes, cells)
    flat = crop[:, None] * total + index
    values = outputs.reshape(count * total, -1)[flat]
    guess = decode_boxes(values[..., 1:5], cells.centres[index], cells.strides[index])
    overlap = box_iou(guess, boxes[:, None].expand_as(guess)) * allowed
    away = (cells.centres[index] - (boxes[:, None, :2] + boxes[:, None, 2:]) / 2).square().sum(-1)
    far = away.sqrt() / (boxes[:, 2:] - boxes[:, :2]).amax(dim=1)[:, None].clamp(min=1)
    cost = functional.softplus(-values[..., 0]) - 3 * overlap.clamp(min=1e-3).log() + far
    cost = torch.where(allowed, cost, torch.full_like(cost, 1e4))
    wanted = overlap.topk(10, dim=1).values.sum(dim=1).long().clamp(min=1)
    order = cost.argsort(dim=1)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    taken = allowed & (rank < wanted[:, None])
    cheapest = torch.full((count * total,), 1e5, device=outputs.device)
    cheapest.scatter_reduce_(0, flat[taken], cost[taken], "amin")
    taken &= cost <= cheapest[flat]
    face, column = taken.nonzero(as_tuple=True)
    cell = flat[face, column]
    unlearned[cell] = False
    return Targets(
        cell, boxes[face], regions.points[crop, slot][face], regions.target[crop, slot][face],
        unlearned,
    )  # fmt: skip
