"""The detector's third network: from its numbers for a face and its mirror image to landmarks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien.detectors.crops import CropNetwork
from mien.detectors.landmarks import LandmarkLocalizer
from mien.detectors.search import Candidates
from mien.errors import ModelError


class _Brightest:
    """Puts all five landmarks, one pixel apart, where a crop is brightest."""

    path = "landmarks.onnx"

    def __init__(self, size: int = 20, numbers: int = 10) -> None:
        self.inputs = [SimpleNamespace(name="crops", shape=["crop", 3, size, size])]
        self.outputs = [SimpleNamespace(name="points", shape=["crop", numbers])]

    def run(self, names: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        crops = feed["crops"][:, 0]
        side = crops.shape[-1]
        spots = [np.unravel_index(crop.argmax(), crop.shape) for crop in crops]
        points = np.array([[((x + 0.5) / side - 0.5, (y + 0.5) / side - 0.5)] * 5
                           for y, x in spots], np.float32).reshape(-1, 5, 2)  # fmt: skip
        points[..., 1] += np.arange(5, dtype=np.float32) / side
        return [points.reshape(-1, 10)]


def _place(
    photo: np.ndarray, boxes: list[list[float]], weight: float = 1.0, before: float = 0.0
) -> np.ndarray:
    session: Any = _Brightest()
    localizer = LandmarkLocalizer(CropNetwork(session, 2.0, size=20, numbers=10), weight)
    count = len(boxes)
    points = np.full((count, 5, 2), before, np.float32)
    faces = Candidates(
        np.array(boxes, np.float32).reshape(-1, 4), np.arange(count, dtype=np.float32), points
    )  # fmt: skip
    placed = localizer.place(photo, faces)
    assert placed.scores is faces.scores
    assert placed.boxes_xyxy is faces.boxes_xyxy
    assert placed.landmarks.dtype == np.float32
    return placed.landmarks


def test_landmarks_lie_in_pixels_of_the_photo_and_mirror_images_change_sides() -> None:
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[30, 44] = 255
    # The crop is the 20 pixels around (40, 30), at their own size.
    found = _place(photo, [[35, 25, 45, 35]])
    assert found.shape == (1, 5, 2)
    assert np.allclose(found[0, :, 0], 44.5)
    # Right and left of eyes and mouth change places in the mirror: their rows are averaged.
    assert np.allclose(found[0, :, 1], 30.5 + np.array([0.5, 0.5, 2, 3.5, 3.5]))


def test_what_was_known_counts_by_its_weight() -> None:
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[30, 44] = 255
    found = _place(photo, [[35, 25, 45, 35]], weight=0.75, before=40.5)
    assert np.allclose(found[0, :, 0], 43.5)


def test_faces_keep_their_order_and_none_is_none() -> None:
    photo = np.zeros((60, 400, 3), np.uint8)
    photo[30, [40, 250]] = 255
    found = _place(photo, [[245, 25, 255, 35], [35, 25, 45, 35]])
    assert np.allclose(found[:, 2, 0], [250.5, 40.5])
    assert _place(photo, []).shape == (0, 5, 2)


def test_another_network_is_refused() -> None:
    session: Any = _Brightest(numbers=15)
    with pytest.raises(ModelError, match=r"landmarks\.onnx"):
        CropNetwork(session, 1.4, size=20, numbers=10)
