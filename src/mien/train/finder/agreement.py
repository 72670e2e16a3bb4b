"""Labels by agreement: what two teachers saw in a picture, merged and judged.

YuNet looks at each picture several times (enlarged, stretched, mirrored), UltraFace twice. A face
that both saw is a label; what only one saw is neither a face nor background, and is left out of
the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.train.finder.boxes import iou_matrix
from mien.train.finder.labels import BACKGROUND, FACE, IGNORE, MIRRORED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mien.faces import FaceDetector


@dataclass(frozen=True)
class Rules:
    """When two teachers make a label.

    Args:
        yunet: Lowest score of YuNet for a face below ``LARGE`` pixels, and for one above: small
            ones never score high, and large dogs do score middling.
        ultraface: Lowest score of UltraFace for a face.
        alone: Scores from which what only one of them saw is left out of the loss; below, or
            where none is given, it is background.
        iou: Least overlap for the two to mean the same face.
        views: (width, height) factors on the picture's size at which YuNet looks.
    """

    yunet: tuple[float, float]
    ultraface: float
    alone: tuple[float, float] | None = (0.5, 0.75)
    iou: float = 0.35
    views: tuple[tuple[float, float], ...] = ((1.0, 1.0),)


#: From these scores on both, a region may be a face, and is at least left out of the loss.
UNSURE = 0.5
#: Square root of width times height, in pixels of the picture, above which a face is large.
LARGE = 24.0
#: Scenes are squashed to squares of 224, so YuNet sees them at both aspects that photographs have.
#: On photographs of animals one teacher alone is mostly wrong: what it sees there is background.
RULES = {
    "people": Rules((0.65, 0.8), 0.65, views=((2.0, 2.0), (2.6, 2.0), (2.0, 2.6))),
    "portraits": Rules((0.6, 0.6), 0.6, views=((1.0, 1.0), (1.6, 1.6))),
    "animals": Rules((0.8, 0.85), 0.8, alone=None, views=((1.0, 1.0), (1.28, 1.28))),
}


def _looks(
    detector: FaceDetector, image_rgb: NDArray[np.uint8], views: Sequence[tuple[float, float]]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
    """Yields boxes, scores and points of each view and of the first one mirrored."""
    height, width = image_rgb.shape[:2]
    picture = Image.fromarray(image_rgb)
    for number, (fx, fy) in enumerate((*views, views[0])):
        size = max(round(width * fx), 1), max(round(height * fy), 1)
        seen = np.asarray(picture if size == picture.size else picture.resize(size, 2))
        mirrored = number == len(views)
        found = detector.detect(seen[:, ::-1].copy() if mirrored else seen, min_face=0)
        boxes, points = found.boxes_xyxy.copy(), found.landmarks
        points = np.full((len(boxes), 5, 2), np.nan, np.float32) if points is None else points
        if mirrored:
            boxes = np.stack(
                [size[0] - boxes[:, 2], boxes[:, 1], size[0] - boxes[:, 0], boxes[:, 3]], 1
            )
            points = points[:, MIRRORED] * [-1, 1] + [size[0], 0]
        back = np.array([width / size[0], height / size[1]], np.float32)
        yield boxes * np.tile(back, 2), found.scores, points * back


def merge_looks(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    points: NDArray[np.float32],
    *,
    iou: float = 0.4,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Joins what was seen several times into its mean, weighted by score; keeps the best score.

    Args:
        boxes: (M, 4).
        scores: (M,).
        points: (M, 5, 2).
        iou: Overlap with the surest box of a group above which a box joins it.
    """
    left = np.argsort(-scores, kind="stable")
    merged: list[tuple[Any, Any, Any]] = []
    while left.size:
        same = iou_matrix(boxes[left[:1]], boxes[left])[0] >= iou
        same[0] = True
        group, left = left[same], left[~same]
        weight = scores[group] / scores[group].sum()
        merged.append(
            (
                (boxes[group] * weight[:, None]).sum(axis=0),
                scores[group[0]],
                (points[group] * weight[:, None, None]).sum(axis=0),
            )
        )
    if not merged:
        return boxes, scores, points
    columns = [np.asarray(column, np.float32) for column in zip(*merged, strict=True)]
    return columns[0], columns[1], columns[2]


def label_picture(
    image_rgb: NDArray[np.uint8], yunet: FaceDetector, ultraface: FaceDetector, rules: Rules
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.int8]]:
    """Labels one picture.

    Returns:
        boxes (M, 4), points (M, 5, 2), scores (M, 2) and kind (M,); see :class:`Labels`.
    """
    seen = []
    for detector, views in ((yunet, rules.views), (ultraface, ((1.0, 1.0),))):
        parts = [
            np.concatenate(part) for part in zip(*_looks(detector, image_rgb, views), strict=True)
        ]
        seen.append(merge_looks(*parts))
    (boxes, first, points), (others, second, blanks) = seen
    overlap = iou_matrix(boxes, others)
    theirs = np.where(overlap >= rules.iou, second[None], 0.0).max(axis=1, initial=0.0)
    alone = overlap.max(axis=0, initial=0.0) < rules.iou
    scores = np.zeros((len(boxes) + int(alone.sum()), 2), np.float32)
    scores[: len(boxes)] = np.stack([first, theirs], axis=1)
    scores[len(boxes) :, 1] = second[alone]
    boxes, points = np.concatenate([boxes, others[alone]]), np.concatenate([points, blanks[alone]])
    kind = judge(scores, np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)), rules)
    told = kind != BACKGROUND
    return boxes[told], points[told], scores[told], kind[told]


def judge(
    scores: NDArray[np.float32], sides: NDArray[np.float32], rules: Rules
) -> NDArray[np.int8]:
    """Returns what regions are, ``FACE``, ``IGNORE`` or ``BACKGROUND``.

    Args:
        scores: (M, 2), of YuNet and of UltraFace.
        sides: (M,), sizes in pixels of the picture.
        rules: Of the set of scenes.

    >>> seen = np.float32([[0.9, 0.9], [0.7, 0.9], [0.9, 0], [0.55, 0.55], [0.4, 0]])
    >>> judge(seen, np.float32([50, 50, 50, 50, 50]), RULES["people"]).tolist()
    [1, 0, 0, 0, -1]
    """
    first = np.where(sides >= LARGE, rules.yunet[1], rules.yunet[0])
    is_face = (scores[:, 0] >= first) & (scores[:, 1] >= rules.ultraface)
    unsure = (scores >= UNSURE).all(axis=1)
    if rules.alone is not None:
        unsure |= (scores >= rules.alone).any(axis=1)
    return np.where(is_face, FACE, np.where(unsure, IGNORE, BACKGROUND)).astype(np.int8)
