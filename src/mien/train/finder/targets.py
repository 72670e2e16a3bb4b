"""Which cells answer for which face, and what a cell's numbers mean.

A cell of stride ``s`` with centre ``c`` says: box centre ``c + s * (dx, dy)``, box size
``s * exp(lw, lh)``, point k ``c + s * (px, py)``. Faces are assigned as YOLOX does it (SimOTA; Ge
et al. 2021): of the cells around a face's centre, on the scales that suit its size, those take it
whose answer is cheapest now; how many, the overlap of the best ten says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from mien.models.finder import STRIDES

if TYPE_CHECKING:
    from torch import Tensor

#: By stride: the sizes of faces, square root of width times height in pixels, that it may take.
SIZES = {8: (0.0, 56.0), 16: (28.0, 144.0), 32: (72.0, 1e9)}
#: How far from a face's centre, in cells along each axis, a cell may lie to take it.
RADIUS = 1.5
_CANDIDATES = 10
_IOU_COST = 3.0
_MAX_LOG_SIZE = 6.0


@dataclass(frozen=True)
class Faces:
    """The labels of a batch; T regions in all.

    Args:
        image: int64 (T,), which picture of the batch.
        boxes: float32 (T, 4), corners in pixels.
        points: float32 (T, 5, 2); NaN where unknown.
        is_face: bool (T,); False for regions that the loss leaves out.
    """

    image: Tensor
    boxes: Tensor
    points: Tensor
    is_face: Tensor


@dataclass(frozen=True)
class Assignment:
    """P cells that take a face.

    Args:
        image: (P,), picture.
        cell: (P,), cell.
        face: (P,), index into :class:`Faces`.
        iou: (P,), overlap of the cell's present answer with the face.
    """

    image: Tensor
    cell: Tensor
    face: Tensor
    iou: Tensor


@lru_cache(maxsize=16)
def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Returns cell centres (A, 2) in pixels and strides (A,) for an input of H x W.

    >>> grid(32, 64)[0][:2].tolist(), len(grid(32, 64)[1])
    ([[4.0, 4.0], [12.0, 4.0]], 42)
    """
    centres, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing="ij"
        )
        centres.append((torch.stack([x, y], 2).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((len(centres[-1]),), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def decode_boxes(raw: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Turns box numbers (..., 4) of cells into corners in pixels."""
    step = strides[..., None]
    middle = centres + raw[..., :2] * step
    half = raw[..., 2:].clamp(max=_MAX_LOG_SIZE).exp() * step / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def encode_boxes(boxes: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Turns corners into box numbers: the inverse of :func:`decode_boxes`."""
    step = strides[..., None]
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    size = boxes[..., 2:] - boxes[..., :2]
    return torch.cat([(middle - centres) / step, (size / step).log()], dim=-1)


def pair_iou(a: Tensor, b: Tensor) -> Tensor:
    """Returns intersection over union of boxes (..., 4), pair by pair."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    areas = (a[..., 2:] - a[..., :2]).prod(dim=-1) + (b[..., 2:] - b[..., :2]).prod(dim=-1)
    return shared / (areas - shared).clamp(min=1e-6)


def candidates(boxes: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Returns bool (T, A): the cells near enough to a face, of a scale that suits it."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    away = (centres[None] - middle[:, None]).abs().amax(dim=2)
    near = away < RADIUS * strides[None]
    size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1).sqrt()[:, None]
    low = torch.zeros_like(strides)
    high = torch.zeros_like(strides)
    for stride, (smallest, largest) in SIZES.items():
        low[strides == stride], high[strides == stride] = smallest, largest
    return near & (size >= low) & (size < high)


@torch.no_grad()
def assign(
    scores: Tensor, boxes: Tensor, faces: Faces, centres: Tensor, strides: Tensor
) -> Assignment:
    """Chooses the cells that take the faces of a batch.

    Args:
        scores: (N, A) logits.
        boxes: (N, A, 4) decoded answers.
        faces: The labels.
        centres: (A, 2) of :func:`grid`.
        strides: (A,) of :func:`grid`.
    """
    real = faces.is_face.nonzero()[:, 0]
    cells = len(strides)
    allowed = candidates(faces.boxes[real], centres, strides)
    row, cell = allowed.nonzero(as_tuple=True)
    face = real[row]
    image = faces.image[face]
    iou = pair_iou(boxes[image, cell], faces.boxes[face])
    unsure = functional.softplus(-scores[image, cell])
    price = unsure - _IOU_COST * (iou + 1e-6).log()
    prices = torch.full(allowed.shape, torch.inf)
    prices[row, cell] = price
    ious = torch.zeros(allowed.shape)
    ious[row, cell] = iou
    many = min(_CANDIDATES, cells)
    wanted = ious.topk(many, dim=1).values.sum(dim=1).long().clamp(min=1)
    cheapest = prices.topk(many, dim=1, largest=False)
    chosen = (torch.arange(many)[None] < wanted[:, None]) & cheapest.values.isfinite()
    which, place = chosen.nonzero(as_tuple=True)
    cell = cheapest.indices[which, place]
    cost = cheapest.values[which, place]
    image = faces.image[real[which]]
    # A cell that two faces want goes to the cheaper one.
    key = image * cells + cell
    best = torch.full((int(key.max()) + 1 if len(key) else 1,), torch.inf)
    best.scatter_reduce_(0, key, cost, "amin")
    kept = cost <= best[key] if len(key) else torch.zeros(0, dtype=torch.bool)
    image, cell, which = image[kept], cell[kept], which[kept]
    return Assignment(image, cell, real[which], ious[which, cell])


def left_out(shape: tuple[int, int], faces: Faces, centres: Tensor) -> Tensor:
    """Returns bool (N, A): the cells whose centre lies in a region that is no sure label."""
    out = torch.zeros(shape, dtype=torch.bool)
    for index in (~faces.is_face).nonzero()[:, 0].tolist():
        box = faces.boxes[index]
        inside = ((centres > box[:2]) & (centres < box[2:])).all(dim=1)
        # A region smaller than a cell silences the cells around its middle.
        away = (centres - (box[:2] + box[2:]) / 2).abs().amax(dim=1)
        out[faces.image[index]] |= inside | (away < STRIDES[0])
    return out
