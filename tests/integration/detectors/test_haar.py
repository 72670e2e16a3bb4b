"""The cascade: real pictures, places and sizes, and threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mien.detectors import get_detector
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


@pytest.mark.parametrize(
    ("name", "fewest", "most"),
    [("multi_face.jpg", 4, 5), ("single_face.jpg", 1, 1), ("free-mountain-vector-01.jpg", 0, 0)],
)
def test_haar_finds_the_people_of_real_photos(
    shared: Path, name: str, fewest: int, most: int
) -> None:
    image_rgb = decode(shared / "data" / "media" / name)
    found = get_detector("haar").detect(image_rgb)
    assert fewest <= len(found) <= most
    assert found.landmarks is None
    assert (found.scores > 0.3).all()


def test_haar_maps_boxes_back_to_a_large_picture(shared: Path) -> None:
    small = decode(shared / "data" / "media" / "single_face.jpg")
    large = np.repeat(np.repeat(small, 4, axis=0), 4, axis=1)
    detector = HaarDetector()
    box, far = (detector.detect(picture).boxes_xyxy for picture in (small, large))
    assert box.shape == far.shape == (1, 4)
    assert np.abs(far / 4 - box).max() < 0.1 * (box[0, 2] - box[0, 0])


def test_haar_obeys_min_face(shared: Path) -> None:
    image_rgb = decode(shared / "data" / "media" / "multi_face.jpg")
    detector = HaarDetector()
    sides = np.diff(detector.detect(image_rgb).boxes_xyxy[:, [0, 2]])[:, 0]
    limit = float(np.median(sides)) + 1
    assert (
        np.diff(detector.detect(image_rgb, min_face=limit).boxes_xyxy[:, [0, 2]]) >= limit
    ).all()
    assert len(detector.detect(image_rgb, max_faces=2)) == 2
    assert len(detector.detect(image_rgb, min_face=2_000)) == 0


def test_haar_follows_a_face_through_a_clip(shared: Path) -> None:
    reader = cv2.VideoCapture(str(shared / "data" / "media" / "single_face.mp4"))
    frames: list[np.ndarray] = []
    while len(frames) < 72 and (read := reader.read())[0]:
        frames.append(read[1])
    reader.release()
    if not frames:
        pytest.skip("this OpenCV reads no MP4")
    detector = HaarDetector()
    counts = [len(detector.detect(decode(frame, bgr=True))) for frame in frames[::8]]
    assert sum(count == 1 for count in counts) >= 0.8 * len(counts)
