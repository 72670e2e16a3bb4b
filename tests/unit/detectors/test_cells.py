from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien.detectors.cells import FaceProposer, cell_grid, decode_cells, pad_pixels
from mien.errors import ModelError


def _cells(width: int, height: int) -> np.ndarray:
    count = sum((width // s) * (height // s) for s in (8, 16, 32))
    return np.full((count, 15), -9, np.float32)


def test_cell_of_each_stride_decodes_to_hand_worked_numbers() -> None:
    cells = _cells(64, 32)
    # Stride 8: 8 x 4 cells. Row 1, column 2 has its centre at (20, 12).
    cells[10] = [0, 0.5, -1, np.log(2), np.log(4), *[1, 0, 0, 1, -1, 0, 0, -1, 2, 2]]
    # Stride 16: 4 x 2 cells from 32 on. Row 0, column 3: (56, 8).
    cells[35] = [2, 0, 0, 0, 0, *[0] * 10]
    # Stride 32: 2 x 1 cells from 40 on. Column 1: (48, 16).
    cells[41] = [1, 0, 0, np.log(0.5), np.log(0.25), *[0] * 10]
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
    cells = np.random.default_rng(0).normal(size=(21 * 400, 15)).astype(np.float32)
    _, logits, _ = decode_cells(cells, 640, 640, -9.0)
    assert len(logits) == 2000
    assert logits.tolist() == sorted(cells[:, 0].tolist(), reverse=True)[:2000]


def test_wrong_number_of_cells_is_refused() -> None:
    with pytest.raises(ModelError, match="21"):
        decode_cells(np.zeros((20, 15), np.float32), 32, 32, 0.0)


def test_pixels_are_padded_with_black_or_left_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (33, 64, 3)).astype(np.uint8)
    padded = pad_pixels(pixels)
    assert padded.shape == (64, 64, 3)
    assert padded.dtype == np.uint8
    assert np.array_equal(padded[:33], pixels)
    assert not padded[33:].any()
    assert pad_pixels(padded) is padded
    tile = padded[:32, 32:]  # of a larger photo: its rows do not follow each other
    assert np.array_equal(pad_pixels(tile), tile)
    assert pad_pixels(tile).flags["C_CONTIGUOUS"]


def test_grid_is_kept_and_cannot_be_changed() -> None:
    middles, steps = cell_grid(64, 32)
    assert middles[[0, 9, 32, 41]].tolist() == [[4, 4], [12, 12], [8, 8], [48, 16]]
    assert steps[[0, 31, 32, 39, 40], 0].tolist() == [8, 8, 16, 16, 32]
    assert cell_grid(64, 32)[0] is middles
    with pytest.raises(ValueError, match="read-only"):
        middles[0] = 0


class _Session:
    """Takes pixels, and answers for the first cell that a face lies there."""

    path = "detector.onnx"

    def __init__(self, kind: str = "tensor(uint8)", **shapes: list[Any]) -> None:
        given = shapes.get("given", [1, "height", "width", 3])
        self.inputs = [SimpleNamespace(name="image", type=kind, shape=given)]
        self.outputs = [SimpleNamespace(shape=shapes.get("answered", ["cell", 15]))]
        self.seen: list[np.ndarray] = []

    def run(self, names: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.seen.append(feed["image"])
        cells = _cells(*feed["image"].shape[2:0:-1])
        cells[0, :5] = [1, 0, 0, 0, 0]
        return [cells]


def test_network_sees_the_pixels_and_its_cells_are_decoded() -> None:
    session: Any = _Session()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 96, 3)).astype(np.uint8)
    found = FaceProposer(session)(pixels, 0.0)
    assert found.boxes_xyxy.tolist() == [[0, 0, 8, 8]]
    (image,) = session.seen
    assert image.shape == (1, 64, 96, 3)
    assert np.array_equal(image[0, :40], pixels)


@pytest.mark.parametrize(
    "session",
    [
        _Session("tensor(float)"),
        _Session(given=[1, 3, "height", "width"]),
        _Session(given=["crop", 3]),
        _Session(answered=[1, 15, "cell"]),
        _Session(answered=["cell", 14]),
    ],
)
def test_other_networks_are_refused(session: Any) -> None:
    with pytest.raises(ModelError, match="is not mien's detector: it takes tensor"):
        FaceProposer(session)
