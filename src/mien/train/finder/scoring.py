"""Recall and false alarms from detections and labels; pure functions on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.train.finder.boxes import covered_by, iou_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.faces import Detections

#: Overlap from which a detection is the labelled face.
HIT = 0.5
#: Share of a detection that may lie in a region which is no sure label without being an alarm.
EXCUSED = 0.5


@dataclass(frozen=True)
class Match:
    """What one detector did on one picture.

    Args:
        hit: float (F,), by counted face the score of the detection that hit it; 0 where none did.
        alarms: float (D,), scores of the false alarms.
        found: int (F,), by counted face the detection that hit it; -1 where none did.
    """

    hit: NDArray[np.float64]
    alarms: NDArray[np.float64]
    found: NDArray[np.int64]


def match(
    detections: Detections,
    boxes: NDArray[np.floating[Any]],
    counted: NDArray[np.bool_],
) -> Match:
    """Compares detections with labels, the surest first.

    A detection takes the free counted face that it overlaps most, from ``HIT`` on. Otherwise it
    is a false alarm, unless half of it lies in a label that is not counted, or it overlaps one
    by 0.3.

    Args:
        detections: Of one picture.
        boxes: (M, 4), all labelled regions.
        counted: bool (M,), which of them must be found.
    """
    faces, others = boxes[counted], boxes[~counted]
    hit, found = np.zeros(len(faces)), np.full(len(faces), -1)
    overlap = iou_matrix(detections.boxes_xyxy, faces)
    inside = covered_by(detections.boxes_xyxy, others).max(axis=1, initial=0.0)
    touched = iou_matrix(detections.boxes_xyxy, others).max(axis=1, initial=0.0)
    excused = np.logical_or(inside >= EXCUSED, touched >= 0.3)
    alarms = []
    for index in np.argsort(-detections.scores, kind="stable"):
        free = np.where(found < 0, overlap[index], 0.0)
        best = int(free.argmax()) if len(free) else -1
        if best >= 0 and free[best] >= HIT:
            hit[best], found[best] = detections.scores[index], index
        elif not excused[index]:
            alarms.append(float(detections.scores[index]))
    return Match(hit, np.array(alarms), found)


def recall_at(matches: Sequence[Match], threshold: float) -> float:
    """Returns the share of counted faces that were hit with at least this score."""
    scores = np.concatenate([item.hit for item in matches]) if matches else np.zeros(0)
    return float((scores >= max(threshold, 1e-9)).mean()) if len(scores) else float("nan")


def alarms_at(matches: Sequence[Match], threshold: float) -> float:
    """Returns the false alarms a picture with at least this score."""
    count = sum(int((item.alarms >= threshold).sum()) for item in matches)
    return count / max(len(matches), 1)


def threshold_for(matches: Sequence[Match], alarms: float) -> float:
    """Returns the lowest score from which on there are at most so many false alarms a picture.

    >>> def seen(*scores):
    ...     return Match(np.zeros(0), np.array(scores), np.zeros(0, int))
    >>> round(threshold_for([seen(0.9, 0.3), seen(0.5)], 0.5), 6)
    0.500001
    """
    scores = np.sort(np.concatenate([item.alarms for item in matches]))[::-1]
    allowed = int(alarms * len(matches) + 1e-9)
    return float(scores[allowed]) + 1e-6 if len(scores) > allowed else 0.0
