"""``none``: the picture is one face already, as in FER2013, and is taken whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.faces.detections import Detections, check_image, check_wishes
from mien.faces.framing import Framing
from mien.faces.registry import MIN_FACE

if TYPE_CHECKING:
    from numpy.typing import NDArray


class WholeImage:
    """Reports the whole picture as one face with score 1.

    A square picture is then cropped to exactly itself. Of a picture that is not square the crop
    is the centred square on its longer side: nothing is cut off or squashed, and what lies
    beyond the border is filled by repeating the border pixels. ``min_face`` does not apply: that
    there is a face was said by whoever chose this detector.

    >>> WholeImage().detect(np.zeros((48, 40, 3), np.uint8)).boxes_xyxy.tolist()
    [[0.0, 0.0, 40.0, 48.0]]
    """

    name = "none"
    framing = Framing(side="max")

    def detect(
        self,
        image_rgb: NDArray[np.uint8],
        *,
        min_face: float = MIN_FACE,
        max_faces: int | None = None,
    ) -> Detections:
        """Returns one box, the whole picture.

        Raises:
            InputError: If ``image_rgb`` is not uint8 (H, W, 3).
        """
        height, width = check_image(image_rgb)
        check_wishes(min_face, max_faces)
        whole = np.array([[0, 0, width, height]], np.float32)
        return Detections(whole, np.ones(1, np.float32)).keep(max_faces=max_faces)
