"""The detector's second stage: from proposals and its numbers to boxes."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien.detectors.crops import CropNetwork
from mien.detectors.refiner import FaceRefiner
from mien.detectors.search import Candidates
from mien.errors import ModelError


class _Session:
    """Answers every crop with the same numbers."""

    path = "refiner.onnx"

    def __init__(self, numbers: list[float], size: int = 40) -> None:
        self.numbers = numbers
        self.seen: list[np.ndarray] = []
        self.inputs = [SimpleNamespace(name="crops", shape=["crop", 3, size, size])]
        self.outputs = [SimpleNamespace(name="answers", shape=["crop", 15])]

    def run(self, names: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.seen.append(feed["crops"])
        return [np.tile(np.array(self.numbers, np.float32), (len(feed["crops"]), 1))]


def _refiner(session: Any, context: float, weight: float) -> FaceRefiner:
    return FaceRefiner(CropNetwork(session, context, size=40, numbers=15), weight)


def _proposal(*boxes: Sequence[float]) -> Candidates:
    count = len(boxes)
    points = np.zeros((count, 5, 2), np.float32)
    return Candidates(np.array(boxes, np.float32), np.zeros(count, np.float32), points)


def test_numbers_are_shares_of_the_crop_by_hand() -> None:
    session: Any = _Session([2.5, -0.25, -0.5, 0.25, 0.5, *[0.1, -0.2] * 5])
    refiner = _refiner(session, context=2.0, weight=1.0)
    # Middle (60, 50), side 20: the crop's is 40.
    found = refiner.refine(np.zeros((100, 120, 3), np.uint8), _proposal([50, 40, 70, 60]))
    assert found.boxes_xyxy.tolist() == [[50, 30, 70, 70]]
    assert found.scores.tolist() == [2.5]
    assert np.allclose(found.landmarks, [[[64, 42]] * 5])


def test_both_stages_are_averaged_by_hand() -> None:
    session: Any = _Session([2.5, -0.25, -0.5, 0.25, 0.5, *[0.1, -0.2] * 5])
    refiner = _refiner(session, context=2.0, weight=0.25)
    found = refiner.refine(np.zeros((100, 120, 3), np.uint8), _proposal([50, 40, 70, 60]))
    assert found.boxes_xyxy.tolist() == [[50, 37.5, 70, 62.5]]
    assert np.allclose(found.landmarks, [[[16, 10.5]] * 5])


def test_crop_is_the_photo_around_the_proposal() -> None:
    session: Any = _Session([0, -0.3, -0.3, 0.3, 0.3, *[0] * 10])
    photo = np.zeros((80, 80, 3), np.uint8)
    photo[20:60, 20:60] = (200, 100, 50)
    _refiner(session, context=1.0, weight=1.0).refine(photo, _proposal([20, 20, 60, 60]))
    (crop,) = session.seen[0]
    assert crop.shape == (3, 40, 40)
    assert crop.dtype == np.float32
    assert np.abs(crop.mean(axis=(1, 2)) - (200, 100, 50)).max() < 1e-3


def test_impossible_box_keeps_the_proposal_and_is_no_face() -> None:
    session: Any = _Session([9, 0.3, 0.3, -0.3, -0.3, *[0] * 10])
    found = _refiner(session, context=1.5, weight=1.0).refine(
        np.zeros((50, 50, 3), np.uint8), _proposal([10, 10, 30, 30])
    )
    assert found.boxes_xyxy.tolist() == [[10, 10, 30, 30]]
    assert found.scores[0] < -50


def test_many_proposals_go_in_batches_and_none_is_no_error() -> None:
    session: Any = _Session([0, -0.3, -0.3, 0.3, 0.3, *[0] * 10])
    refiner = _refiner(session, context=1.5, weight=1.0)
    photo = np.zeros((50, 50, 3), np.uint8)
    found = refiner.refine(photo, _proposal(*[[10, 10, 30, 30]] * 300))
    assert [len(crops) for crops in session.seen] == [128, 128, 44]
    assert len(found.scores) == 300
    empty = _proposal([0, 0, 1, 1]).take(np.zeros(0, np.intp))
    assert refiner.refine(photo, empty).boxes_xyxy.shape == (0, 4)


def test_other_network_is_refused() -> None:
    other: Any = _Session([0] * 15, size=32)
    with pytest.raises(ModelError, match="not the part"):
        _refiner(other, context=1.5, weight=1.0)
