"""Geometry of boxes in numpy: overlap, and greedy non-maximum suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def iou_matrix(first: Floats, second: Floats) -> NDArray[np.float32]:
    """Intersection over union of every pair.

    Args:
        first: (M, 4), corners x1, y1, x2, y2.
        second: (N, 4).

    Returns:
        float32 (M, N).

    >>> iou_matrix(np.float32([[0, 0, 2, 2]]), np.float32([[1, 0, 3, 2]])).round(3).tolist()
    [[0.3330000042915344]]
    """
    inner = intersection(first, second)
    area_1 = (first[:, 2:] - first[:, :2]).prod(axis=1)
    area_2 = (second[:, 2:] - second[:, :2]).prod(axis=1)
    union = area_1[:, None] + area_2[None] - inner
    return (inner / np.maximum(union, 1e-9)).astype(np.float32)


def intersection(first: Floats, second: Floats) -> Floats:
    """Area (M, N) that each of (M, 4) shares with each of (N, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared: Floats = np.clip(high - low, 0.0, None).prod(axis=2)
    return shared


def nms(boxes_xyxy: Floats, scores: Floats, iou_threshold: float) -> NDArray[np.intp]:
    """Indices of the boxes that overlap no more confident one, the most confident first."""
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while left.size:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        left = left[iou_matrix(boxes_xyxy[[best]], boxes_xyxy[left])[0] <= iou_threshold]
    return np.array(kept, dtype=np.intp)
