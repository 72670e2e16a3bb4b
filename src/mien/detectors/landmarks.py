"""Where the five landmarks of a found face lie: the third network of ``mien``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.detectors.crops import CropNetwork, in_photo

if TYPE_CHECKING:
    from PIL import Image

    from mien.arrays import U8
    from mien.detectors.search import Candidates

#: Where a mirrored face has its landmarks: right and left change places.
_MIRRORED = [1, 0, 2, 4, 3]


@dataclass(frozen=True)
class LandmarkLocalizer:
    """Looks at each face and at its mirror image, and takes what was known into the mean.

    ``network`` takes crops to (N, 10): x and y of five points as shares of the crop's side from
    its middle. ``weight`` is that of its points next to those of the stages before, 0..1: the
    errors of all differ, and their mean is more exact than any.
    """

    network: CropNetwork
    weight: float

    def single_threaded(self) -> LandmarkLocalizer:
        """Returns the same with one thread per call."""
        return LandmarkLocalizer(self.network.single_threaded(), self.weight)

    def place(self, image_rgb: U8 | Image.Image, faces: Candidates) -> Candidates:
        """Returns faces with landmarks that were looked for anew."""
        (seen, other), squares = self.network.answers(image_rgb, faces.boxes_xyxy, mirrored=True)
        turned = other.reshape(-1, 5, 2)[:, _MIRRORED] * np.array([-1, 1], np.float32)
        own = in_photo((seen.reshape(-1, 5, 2) + turned) / 2, squares)
        mean = self.weight * own + (1 - self.weight) * faces.landmarks
        return faces._replace(landmarks=mean.astype(np.float32))
