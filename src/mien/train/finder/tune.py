"""What a trained network still needs to be a detector: its threshold and its framing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.errors import DataError
from mien.faces import Framing, crop_box
from mien.train.finder.boxes import iou_matrix
from mien.train.finder.evaluate import find_all, match_all
from mien.train.finder.scoring import threshold_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.faces import FaceDetector
    from mien.train.finder.pool import Source

#: Fewest pairs of boxes from which a framing is taken.
_FEWEST = 20


def choose_threshold(
    detector: FaceDetector, animals: Sequence[Source], *, alarms: float, least: float
) -> float:
    """Returns the lowest score, at least ``least``, with so few false alarms a picture.

    Args:
        detector: Made to report low scores too.
        animals: Held-out photographs of animals.
        alarms: Most false alarms a picture.
        least: Lowest threshold to return.
    """
    return max(least, threshold_for(match_all(find_all(detector, animals), animals), alarms))


def measure_framing(
    detector: FaceDetector, ruler: FaceDetector, sources: Sequence[Source]
) -> tuple[Framing, float]:
    """Measures how a detector's boxes relate to the crops of another one, the ruler.

    Scale and shifts are medians over faces that both see, as in ``docs/framing.md``.

    Returns:
        The framing, and the median overlap of the two crops with it.

    Raises:
        DataError: If the two have hardly a face in common.
    """
    boxes, squares = [], []
    for source in sources:
        picture = np.asarray(source.levels[0])
        mine, theirs = detector.detect(picture), ruler.detect(picture, max_faces=1)
        if not len(mine) or not len(theirs):
            continue
        square = crop_box(theirs.boxes_xyxy[0], ruler.framing)
        overlap = iou_matrix(mine.boxes_xyxy, square[None])[:, 0]
        if overlap.max() > 0.3:
            boxes.append(mine.boxes_xyxy[overlap.argmax()].astype(np.float64))
            squares.append(square)
    if len(boxes) < _FEWEST:
        raise DataError(f"only {len(boxes)} faces were seen by both detectors: too few to measure.")
    box, square = np.array(boxes), np.array(squares)
    side = square[:, 2] - square[:, 0]
    scale = side / np.sqrt((box[:, 2:] - box[:, :2]).prod(axis=1))
    shift = (square[:, :2] + square[:, 2:] - box[:, :2] - box[:, 2:]) / (2 * side[:, None])
    right, down = (round(float(value), 3) for value in np.median(shift, axis=0))
    framing = Framing(round(float(np.median(scale)), 3), right, down)
    crops = crop_box(box, framing)
    overlaps = [
        float(iou_matrix(a[None], b[None])[0, 0]) for a, b in zip(crops, square, strict=True)
    ]
    return framing, float(np.median(overlaps))
