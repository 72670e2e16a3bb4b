"""Boxes: how far they overlap, and which of those on one face stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.arrays import F64, Floats


#: Boxes that are compared with all others in one step: bounds the memory.
_AT_ONCE = 64


def iou(first: Floats, second: Floats) -> F64:
    """Returns intersection over union of boxes (N, 4) and (M, 4): float64 (N, M), 0..1."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    one, other = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second))
    union = one[:, None] + other[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float64)


def nms(
    boxes_xyxy: Floats, scores: Floats, *, iou_threshold: float = 0.3, inside: float = 1.0
) -> NDArray[np.intp]:
    """Keeps the boxes that do not overlap a more confident one (greedy non-maximum suppression).

    Args:
        boxes_xyxy: (N, 4), x1 < x2 and y1 < y2.
        scores: (N,); of equal ones the first box given counts as the more confident.
        iou_threshold: Overlap, intersection over union, above which the less confident box goes.
        inside: Share of the smaller of two boxes that lies in the other above which it goes too;
            1 leaves that rule out.

    Returns:
        Indices of the boxes kept, the most confident first.

    >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30]], float)
    >>> nms(boxes, np.array([0.8, 0.9, 0.7])).tolist()
    [1, 2]
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)[order]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    kept: list[int] = []
    left = np.arange(len(boxes))
    while left.size:
        # Of the most confident ones it is said at once which of all the others go with them.
        first = left[:_AT_ONCE]
        x1, y1, x2, y2 = boxes[left].T
        a1, b1, a2, b2 = boxes[first].T[:, :, None]
        width = np.minimum(a2, x2) - np.maximum(a1, x1)
        height = np.minimum(b2, y2) - np.maximum(b1, y1)
        shared = np.maximum(width, 0.0) * np.maximum(height, 0.0)
        one, other = areas[first, None], areas[left]
        close = shared > iou_threshold * (one + other - shared)
        if inside < 1:
            close |= shared > inside * np.minimum(one, other)
        gone = np.zeros(len(left), bool)
        for row, index in enumerate(first.tolist()):
            if not gone[row]:
                kept.append(index)
                gone |= close[row]
        gone[: len(first)] = True
        left = left[~gone]
    return order[kept]
