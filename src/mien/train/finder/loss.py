"""The loss of a batch: score, box and landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from mien.train.finder.targets import (
    Faces,
    assign,
    decode_boxes,
    grid,
    left_out,
    pair_iou,
)

if TYPE_CHECKING:
    from torch import Tensor

#: A taken cell's score should be this plus the rest times the overlap of its box.
SURE = 0.6
_FOCUS = 2.0
_POINT_BETA = 0.02


@dataclass(frozen=True)
class Losses:
    """The parts of the loss, each a scalar, and how many cells took a face."""

    score: Tensor
    box: Tensor
    points: Tensor
    taken: int


def score_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Quality focal loss (Li et al. 2020): ``|t - p|**2`` times cross-entropy, summed.

    Args:
        logits: (N, A).
        targets: (N, A), 0..1.
        weights: (N, A), 0 where a cell is left out.
    """
    gap = (targets - logits.sigmoid()).abs().pow(_FOCUS)
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (gap * entropy * weights).sum()


def box_loss(boxes: Tensor, wanted: Tensor) -> Tensor:
    """Distance-IoU loss (Zheng et al. 2020) by pair: ``1 - IoU + d**2 / c**2``; (P,)."""
    low = torch.minimum(boxes[:, :2], wanted[:, :2])
    high = torch.maximum(boxes[:, 2:], wanted[:, 2:])
    diagonal = (high - low).square().sum(dim=1).clamp(min=1e-6)
    apart = (boxes[:, :2] + boxes[:, 2:] - wanted[:, :2] - wanted[:, 2:]) / 2
    return 1 - pair_iou(boxes, wanted) + apart.square().sum(dim=1) / diagonal


def finder_losses(raw: Tensor, faces: Faces, height: int, width: int) -> Losses:
    """Computes the losses of a batch.

    Args:
        raw: float32 (N, A, 15), the network's output.
        faces: The labels.
        height: Of the input, in pixels.
        width: Of the input.

    Returns:
        Score loss by taken cell, mean box loss, mean landmark loss in shares of the box's side.
    """
    centres, strides = grid(height, width)
    logits = raw[..., 0]
    boxes = decode_boxes(raw[..., 1:5], centres, strides)
    taken = assign(logits.detach(), boxes.detach(), faces, centres, strides)
    targets = torch.zeros_like(logits)
    targets[taken.image, taken.cell] = SURE + (1 - SURE) * taken.iou
    out = left_out((logits.shape[0], logits.shape[1]), faces, centres)
    out[taken.image, taken.cell] = False
    count = max(len(taken.cell), 1)
    score = score_loss(logits, targets, (~out).float()) / count
    wanted = faces.boxes[taken.face]
    box = box_loss(boxes[taken.image, taken.cell], wanted).sum() / count
    step = strides[taken.cell][:, None, None]
    points = raw[taken.image, taken.cell, 5:].reshape(-1, 5, 2) * step
    points = points + centres[taken.cell][:, None]
    side = (wanted[:, 2:] - wanted[:, :2]).prod(dim=1).clamp(min=1).sqrt()[:, None, None]
    gap = (points - faces.points[taken.face]) / side
    known = ~gap.isnan()
    gap = torch.where(known, gap, torch.zeros_like(gap))
    smooth = functional.smooth_l1_loss(
        gap, torch.zeros_like(gap), beta=_POINT_BETA, reduction="sum"
    )
    return Losses(score, box, smooth / max(int(known.sum()), 1), len(taken.cell))
