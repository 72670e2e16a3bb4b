"""The second stage of ``mien``: a small network examines what the first one proposes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.detectors.crops import CropNetwork, in_photo
from mien.detectors.search import Candidates

if TYPE_CHECKING:
    from PIL import Image

    from mien.arrays import U8, Bools

#: Least size of a refined box, as a share of the proposal's; and the logit of a smaller one.
_MIN_SHARE = 0.25
_UNSOUND = -99.0


@dataclass(frozen=True)
class FaceRefiner:
    """Says how likely proposals are faces, and where exactly the faces lie.

    ``network`` takes crops to (N, 15): the score's logit, the box's corners and five points, as
    shares of the crop's side from its middle. ``weight`` is that of its boxes and landmarks next to
    the proposal's, 0..1: the errors of the two differ, and their mean is more exact than either.
    """

    network: CropNetwork
    weight: float

    def single_threaded(self) -> FaceRefiner:
        """Returns the same with one thread per call."""
        return FaceRefiner(self.network.single_threaded(), self.weight)

    def refine(self, image_rgb: U8 | Image.Image, found: Candidates) -> Candidates:
        """Examines proposals with centres in the photo: its own logits, both networks' boxes."""
        values, squares = self.network.answers(image_rgb, found.boxes_xyxy)
        places = in_photo(values[:, 1:].reshape(-1, 7, 2), squares)
        own = places[:, :2].reshape(-1, 4)
        # Of what is no face, the network may say anything: not even a box.
        before = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
        share = ((own[:, 2:] - own[:, :2]) / before).min(axis=1, initial=np.inf)
        sound: Bools = share >= _MIN_SHARE
        weight = np.where(sound, self.weight, 0)[:, None]
        boxes = weight * own + (1 - weight) * found.boxes_xyxy
        points = weight[:, None] * places[:, 2:] + (1 - weight[:, None]) * found.landmarks
        scores = np.where(sound, values[:, 0], np.float32(_UNSOUND))
        return Candidates(boxes.astype(np.float32), scores, points.astype(np.float32))
