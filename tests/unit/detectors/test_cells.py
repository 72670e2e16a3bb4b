from __future__ import annotations

import numpy as np
import pytest

from mien.detectors.cells import decode_cells
from mien.errors import ModelError


def _cells(width: int, height: int) -> np.ndarray:
    count = sum((width // s) * (height // s) for s in (8, 16, 32))
    return np.full((15, count), -9, np.float32)


def test_cell_of_each_stride_decodes_to_hand_worked_numbers() -> None:
    cells = _cells(64, 32)
    # Stride 8: 8 x 4 cells. Row 1, column 2 has its centre at (20, 12).
    cells[:, 10] = [0, 0.5, -1, np.log(2), np.log(4), *[1, 0, 0, 1, -1, 0, 0, -1, 2, 2]]
    # Stride 16: 4 x 2 cells from 32 on. Row 0, column 3: (56, 8).
    cells[:, 35] = [2, 0, 0, 0, 0, *[0] * 10]
    # Stride 32: 2 x 1 cells from 40 on. Column 1: (48, 16).
    cells[:, 41] = [1, 0, 0, np.log(0.5), np.log(0.25), *[0] * 10]
    boxes, logits, points = decode_cells(cells, 64, 32, 0.0)
    assert logits.tolist() == [2, 1, 0]
    assert boxes[0].tolist() == pytest.approx([48, 0, 64, 16])
    assert boxes[1].tolist() == pytest.approx([40, 12, 56, 20])
    assert boxes[2].tolist() == pytest.approx([24 - 8, 4 - 16, 24 + 8, 4 + 16])
    expected = [[28, 12], [20, 20], [12, 12], [20, 4], [36, 28]]
    assert np.allclose(points[2], expected)


def test_threshold_is_inclusive_and_nothing_gives_empty_arrays() -> None:
    cells = _cells(32, 32)
    boxes, logits, points = decode_cells(cells, 32, 32, 0.0)
    assert boxes.shape == (0, 4)
    assert logits.shape == (0,)
    assert points.shape == (0, 5, 2)
    cells[0, 0] = 0.0
    assert len(decode_cells(cells, 32, 32, 0.0)[0]) == 1
    assert len(decode_cells(cells, 32, 32, 0.01)[0]) == 0


def test_absurd_sizes_stay_finite() -> None:
    cells = np.full_like(_cells(32, 32), 1e6)
    boxes, _, points = decode_cells(cells, 32, 32, 0.0)
    assert np.isfinite(boxes).all()
    assert np.isfinite(points).all()


def test_noise_gives_at_most_two_thousand_the_most_confident() -> None:
    cells = np.random.default_rng(0).normal(size=(15, 21 * 400)).astype(np.float32)
    _, logits, _ = decode_cells(cells, 640, 640, -9.0)
    assert len(logits) == 2000
    assert logits.tolist() == sorted(cells[0].tolist(), reverse=True)[:2000]


def test_wrong_number_of_cells_is_refused() -> None:
    with pytest.raises(ModelError, match="21"):
        decode_cells(np.zeros((15, 20), np.float32), 32, 32, 0.0)
