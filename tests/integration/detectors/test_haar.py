"""The cascade: real pictures, places and sizes, threads, and what is said when it is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mien.detectors.haar import HaarDetector
from mien.images import decode

if TYPE_CHECKING:
    from pathlib import Path

cv2 = pytest.importorskip("cv2")


def test_haar_gives_the_same_in_many_threads(shared: Path) -> None:
    image_rgb = decode(shared / "data" / "media" / "multi_face.jpg")[::2, ::2]
    detector = HaarDetector()
    expected = detector.detect(image_rgb)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: detector.detect(image_rgb), range(12)):
            np.testing.assert_array_equal(found.boxes_xyxy, expected.boxes_xyxy)
            np.testing.assert_array_equal(found.scores, expected.scores)
