"""``none``: the picture is one face already, as in FER2013."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.detectors.detections import Detections, check_image, check_search
from mien.detectors.framing import Framing
from mien.detectors.protocol import MIN_FACE, Detector
from mien.preprocess import whole_box

if TYPE_CHECKING:
    from numpy.typing import NDArray


class WholeImage(Detector):
    """Reports the largest centred square of the picture as one face with score 1.

    That is how training and evaluation cut pictures that are faces already. ``min_face`` does not
    apply: that there is a face was said by whoever chose this detector.

    >>> WholeImage().detect(np.zeros((48, 40, 3), np.uint8)).boxes_xyxy.tolist()
    [[0.0, 4.0, 40.0, 44.0]]
    """

    name = "none"
    framing = Framing()
    whole_image = True

    def detect(
        self,
        image_rgb: NDArray[np.uint8],
        *,
        min_face: float = MIN_FACE,
        max_faces: int | None = None,
    ) -> Detections:
        """Returns one box, the centred square.

        Raises:
            InputError: If ``image_rgb`` is not uint8 (H, W, 3).
        """
        height, width = check_image(image_rgb)
        check_search(min_face, max_faces)
        square = np.array([whole_box(width, height)], np.float32)
        return Detections(square, np.ones(1, np.float32)).keep(max_faces=max_faces)
