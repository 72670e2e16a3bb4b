"""What the comparison of detectors measures."""

import numpy as np
import pytest
from PIL import Image

from mien.faces import Detections
from mien.train.finder.evaluate import landmark_errors
from mien.train.finder.pool import Source

BOXES = np.array([[10, 10, 50, 50], [60, 10, 160, 110]], np.float32)


def points(box: np.ndarray, shift: float) -> np.ndarray:
    """Five points whose eyes stand 10 px apart, all moved to the right."""
    x, y = box[:2] + 10
    shape = np.array([[0, 0], [10, 0], [5, 5], [1, 9], [9, 9]], np.float32)
    return shape + np.array([x + shift, y], np.float32)


class Shifted:
    """Finds both faces, its points 1 px off on the small face and 2 px on the large one."""

    name = "shifted"

    def detect(self, image_rgb: np.ndarray) -> Detections:
        found = np.stack([points(BOXES[0], 1), points(BOXES[1], 2)])
        return Detections(BOXES, np.array([0.9, 0.8], np.float32), found.astype(np.float32))


@pytest.mark.parametrize(("largest", "expected"), [(False, [0.1, 0.2]), (True, [0.2])])
def test_landmark_errors_are_shares_of_the_eyes_distance(
    largest: bool, expected: list[float]
) -> None:
    truth = np.stack([points(box, 0) for box in BOXES]).astype(np.float32)
    source = Source([Image.new("RGB", (200, 120))], BOXES, truth, np.ones(2, bool))
    errors = landmark_errors(Shifted(), [source], largest=largest)
    assert sorted(errors.tolist()) == pytest.approx(expected)
