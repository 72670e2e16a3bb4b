"""Matching found faces with labelled ones, and what follows from it; pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from research.detector.boxes import intersection, iou_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: What a found box can be.
HIT, FALSE, NEUTRAL = 1, 0, -1


@dataclass(frozen=True)
class Matched:
    """What the faces found in one image are, and which labelled ones they hit.

    Args:
        scores: (N,), of the boxes found.
        kind: int8 (N,): ``HIT``, ``FALSE``, or ``NEUTRAL`` (on a region to ignore).
        face: int64 (N,), the labelled face that was hit, or -1.
        sizes: (G,), longer sides of the labelled faces that count.
    """

    scores: NDArray[np.float32]
    kind: NDArray[np.int8]
    face: NDArray[np.int64]
    sizes: NDArray[np.float32]


def match(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    truth: NDArray[np.float32],
    ignored: NDArray[np.bool_],
    *,
    min_iou: float = 0.5,
    min_size: float = 16.0,
) -> Matched:
    """Matches the boxes found in one image, the most confident first.

    Args:
        boxes: (N, 4).
        scores: (N,).
        truth: (G, 4), labelled regions.
        ignored: (G,), whether each is to be ignored.
        min_iou: Least overlap of a hit.
        min_size: Faces whose longer side is smaller are ignored, and so are boxes found that are
            smaller than three quarters of it.

    >>> truth = np.float32([[0, 0, 20, 20], [50, 50, 90, 90]])
    >>> found = np.float32([[1, 0, 21, 20], [0, 1, 20, 21], [55, 55, 70, 70]])
    >>> m = match(found, np.float32([0.9, 0.8, 0.7]), truth, np.array([False, True]))
    >>> m.kind.tolist(), m.face.tolist()
    ([1, 0, -1], [0, -1, -1])
    """
    sizes = (truth[:, 2:] - truth[:, :2]).max(axis=1, initial=0.0) if len(truth) else truth[:, 0]
    counted = ~ignored & (sizes >= min_size)
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    kind = np.full(len(boxes), FALSE, np.int8)
    face = np.full(len(boxes), -1, np.int64)
    overlap = iou_matrix(boxes, truth)
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6)
    inside = intersection(boxes, truth) / area[:, None]
    free = counted.copy()
    for row in range(len(boxes)):
        left = np.where(free, overlap[row], 0.0)
        best = int(left.argmax()) if len(left) else -1
        if best >= 0 and left[best] >= min_iou:
            kind[row], face[row], free[best] = HIT, best, False
        elif ((overlap[row] >= 0.4) & ~counted).any() or ((inside[row] >= 0.5) & ~counted).any():
            kind[row] = NEUTRAL
    small = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0) < 0.75 * min_size
    kind[small & (kind == FALSE)] = NEUTRAL
    number = np.cumsum(counted) - 1
    face = np.where(face >= 0, number[np.maximum(face, 0)] if len(number) else -1, -1)
    return Matched(scores, kind, face, sizes[counted])


def join(parts: Sequence[Matched]) -> tuple[NDArray[np.float32], NDArray[np.int8], int]:
    """Returns scores and kinds of all boxes that are not neutral, and the number of faces."""
    scores = np.concatenate([p.scores for p in parts] or [np.zeros(0, np.float32)])
    kind = np.concatenate([p.kind for p in parts] or [np.zeros(0, np.int8)])
    keep = kind != NEUTRAL
    return scores[keep], kind[keep], sum(len(p.sizes) for p in parts)


def precision_recall(
    parts: Sequence[Matched],
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Returns thresholds (descending), and precision and recall at each."""
    scores, kind, faces = join(parts)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(kind[order] == HIT)
    return scores[order], hits / np.arange(1, len(order) + 1), hits / max(faces, 1)


def best_threshold(parts: Sequence[Matched]) -> tuple[float, float]:
    """Returns the score from which F1 is best, and that F1."""
    thresholds, precision, recall = precision_recall(parts)
    if not len(thresholds):
        return 0.5, 0.0
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    best = int(f1.argmax())
    return float(thresholds[best]), float(f1[best])


def recall_at(parts: Sequence[Matched], threshold: float, least: float = 0.0) -> float:
    """Share of the faces of at least ``least`` pixels that are found from a score on."""
    found = total = 0
    for part in parts:
        wanted = part.sizes >= least
        total += int(wanted.sum())
        hit = part.face[(part.scores >= threshold) & (part.kind == HIT)]
        found += int(wanted[hit].sum())
    return found / total if total else float("nan")


def false_per_hundred(parts: Sequence[Matched], threshold: float) -> float:
    """False boxes per 100 images from a score on."""
    count = sum(int(((p.scores >= threshold) & (p.kind == FALSE)).sum()) for p in parts)
    return 100 * count / max(len(parts), 1)


def calibration_error(
    scores: NDArray[np.floating], correct: NDArray[np.bool_], bins: int = 15
) -> float:
    """Expected calibration error: mean distance of score and share of hits, in equal bins."""
    index = np.minimum((scores * bins).astype(int), bins - 1)
    error = 0.0
    for part in range(bins):
        mine = index == part
        if mine.any():
            error += float(mine.mean() * abs(scores[mine].mean() - correct[mine].mean()))
    return error
