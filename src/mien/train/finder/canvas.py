"""A training view in the making: a picture and the regions in it so far."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from mien.train.finder.boxes import covered_by

#: Faces whose longer side is below this, in pixels of the view, are left out of the loss.
SMALLEST = 10.0
#: Share of a box that must lie inside for a face; below the second the label is dropped.
VISIBLE, GLIMPSE = 0.6, 0.2


class Canvas:
    """A picture in the making, and the regions in it so far."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.picture = Image.new("RGB", (size, size))
        self.boxes = np.zeros((0, 4))
        self.points = np.zeros((0, 5, 2))
        self.is_face = np.zeros(0, bool)

    def add(self, boxes: Any, points: Any, is_face: Any, frame: tuple[float, ...]) -> None:
        """Adds regions, cut to the frame that they can be seen in."""
        seen = covered_by(boxes, np.asarray([frame]))[:, 0]
        large = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0) >= SMALLEST
        is_face = is_face & (seen >= VISIBLE) & large
        kept = (seen >= GLIMPSE) & ((boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=9e9) > 1)
        boxes = np.clip(boxes, np.tile(frame[:2], 2), np.tile(frame[2:], 2))
        self.boxes = np.concatenate([self.boxes, boxes[kept]])
        self.points = np.concatenate([self.points, points[kept]])
        self.is_face = np.concatenate([self.is_face, is_face[kept]])

    def hide(self, frame: tuple[float, ...], *, most: float = 0.35) -> bool:
        """Says whether something may be laid over ``frame``; drops what vanishes below it.

        A face must not be covered by more than ``most``; regions that are no sure face may.
        """
        share = covered_by(self.boxes, np.asarray([frame]))[:, 0]
        if (share[self.is_face] > most).any():
            return False
        kept = share < 0.8
        self.boxes, self.points = self.boxes[kept], self.points[kept]
        self.is_face = self.is_face[kept]
        return True
