"""What the detector is trained to minimise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from research.detector.network import decode_boxes
from research.detector.targets import Cells, Targets, box_iou
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss.

    Args:
        box: Of the boxes' complete IoU loss.
        point: Of the landmarks' error.
        focus: Exponent of the focal factor of the score.
        quality: Exponent on the overlap in the score's target; 0 asks for 1 wherever a face is.
    """

    box: float = 3.0
    point: float = 1.5
    focus: float = 2.0
    quality: float = 0.5


def ciou_loss(guess: Tensor, truth: Tensor) -> Tensor:
    """Complete IoU loss (P,) of boxes (P, 4) (Zheng et al. 2020)."""
    iou = box_iou(guess, truth)
    low = torch.minimum(guess[:, :2], truth[:, :2])
    high = torch.maximum(guess[:, 2:], truth[:, 2:])
    diagonal = (high - low).square().sum(dim=1).clamp(min=1e-6)
    apart = ((guess[:, :2] + guess[:, 2:] - truth[:, :2] - truth[:, 2:]) / 2).square().sum(dim=1)
    size_1 = (guess[:, 2:] - guess[:, :2]).clamp(min=1e-3)
    size_2 = (truth[:, 2:] - truth[:, :2]).clamp(min=1e-3)
    angle = (size_2[:, 0] / size_2[:, 1]).atan() - (size_1[:, 0] / size_1[:, 1]).atan()
    shape = 4 / torch.pi**2 * angle.square()
    with torch.no_grad():
        weight = shape / (1 - iou + shape).clamp(min=1e-6)
    return 1 - iou + apart / diagonal + weight * shape


def detection_loss(
    outputs: Tensor, cells: Cells, targets: Targets, config: LossConfig
) -> dict[str, Tensor]:
    """Computes the parts of the loss, weighted.

    The score is a quality focal loss (Li et al. 2020), summed over cells and divided by the number
    of those that answer for a face.

    Args:
        outputs: (B, A, 15), float32.
        cells: Of the input.
        targets: What the cells should say.
        config: The weights.

    Returns:
        ``score``, ``box`` and ``point``.
    """
    total = len(cells.strides)
    values = outputs.reshape(-1, outputs.shape[2])
    answers = values[targets.cell]
    index = targets.cell % total
    centres, strides = cells.centres[index], cells.strides[index]
    guess = decode_boxes(answers[:, 1:5], centres, strides)
    scores = torch.zeros_like(values[:, 0])
    with torch.no_grad():
        quality = box_iou(guess, targets.boxes).clamp(min=0.05) ** config.quality
        scores[targets.cell] = quality * targets.target
    count = targets.target.sum().clamp(min=1.0)
    logits = values[:, 0]
    entropy = functional.binary_cross_entropy_with_logits(logits, scores, reduction="none")
    focus = (logits.sigmoid().detach() - scores).abs() ** config.focus
    score_loss = (entropy * focus)[~targets.unlearned].sum() / count
    box_loss = (ciou_loss(guess, targets.boxes) * targets.target).sum() / count
    points = centres[:, None] + answers[:, 5:].view(-1, 5, 2) * strides[:, None, None]
    side = (targets.boxes[:, 2:] - targets.boxes[:, :2]).prod(dim=1).sqrt().clamp(min=1)
    known = targets.points.isfinite().all(dim=2).all(dim=1)
    error = (points - targets.points.nan_to_num()).abs() / side[:, None, None]
    # Linear from 2 % of the face's side on, quadratic below.
    error = torch.where(error < 0.02, error.square() / 0.04, error - 0.01).mean(dim=(1, 2))
    point_loss = (error * known * targets.target).sum() / (known * targets.target).sum().clamp(
        min=1
    )
    return {
        "score": score_loss,
        "box": config.box * box_loss,
        "point": config.point * 10 * point_loss,
    }
