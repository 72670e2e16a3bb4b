from __future__ import annotations

import numpy as np
import pytest

from mien.detectors.voting import vote


def marks(*values: float) -> np.ndarray:
    return np.stack([np.full((5, 2), value, np.float32) for value in values])


def test_mean_is_weighted_by_score_by_hand() -> None:
    boxes = np.float32([[0, 0, 10, 10], [2, 0, 12, 10]])
    found, points = vote(boxes, np.float32([0.75, 0.5]), marks(0, 5), np.array([0]))
    assert found == pytest.approx(np.float32([[0.8, 0, 10.8, 10]]))
    assert points == pytest.approx(np.full((1, 5, 2), 2.0), rel=1e-6)


@pytest.mark.parametrize(
    ("box", "score", "heard"),
    [
        ((2, 0, 12, 10), 0.4, True),  # overlap 2/3, half of 0.8
        ((2, 0, 12, 10), 0.39, False),
        ((3, 0, 13, 10), 0.8, False),  # overlap 7/13
    ],
)
def test_who_votes(box: tuple[float, ...], score: float, heard: bool) -> None:
    boxes = np.float32([[0, 0, 10, 10], box])
    found, _ = vote(boxes, np.float32([0.8, score]), marks(0, 1), np.array([0]))
    assert (found[0, 0] > 0) == heard


def test_nothing_kept_gives_nothing() -> None:
    boxes, points = vote(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), marks(1)[:0], np.zeros(0, np.intp)
    )
    assert boxes.shape == (0, 4)
    assert points.shape == (0, 5, 2)
