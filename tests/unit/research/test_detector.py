"""The making of the bundled detector: labels, views, matching, calibration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from support import ROOT

sys.path.insert(0, str(ROOT))
torch = pytest.importorskip("torch")

from research.detector.fit import Examined, fit_calibration, logistic, outcome
from research.detector.landmarks import LandmarkConfig, LandmarkTraining, turned
from research.detector.metrics import best_threshold, calibration_error, match
from research.detector.network import DetectorNetwork, cell_grid, decode_boxes
from research.detector.pack import IGNORE, SOURCES
from research.detector.prepare import Labelled
from research.detector.proposals import Proposals, collect, mirror
from research.detector.refiner import Crops, RefinerConfig, RefinerNetwork, RefinerTraining, view

from mien.detectors.bundle import Calibration
from mien.detectors.search import Candidates

NO_POINTS = np.full((1, 5, 2), np.nan, np.float32)


def _floats(values: ArrayLike) -> np.ndarray:
    return np.array(values, np.float32)


def test_regions_to_ignore_are_neither_faces_nor_background() -> None:
    truth = _floats([[0, 0, 20, 20], [50, 50, 90, 90], [0, 60, 9, 69]])
    found = _floats([[1, 0, 21, 20], [55, 55, 85, 85], [0, 60, 9, 69], [30, 0, 60, 30]])
    scores = _floats([0.9, 0.8, 0.7, 0.6])
    matched = match(found, scores, truth, np.array([False, True, False]))
    assert matched.kind.tolist() == [1, -1, -1, 0]
    assert matched.sizes.tolist() == [20]
    assert best_threshold([matched])[1] == 1.0


def test_calibration_error_by_hand() -> None:
    assert calibration_error(_floats([0.9, 0.9]), np.array([True, False])) == pytest.approx(0.4)


def test_networks_are_within_their_budget_and_decode() -> None:
    first, second = DetectorNetwork().eval(), RefinerNetwork().eval()
    assert sum(p.numel() for n in (first, second) for p in n.parameters()) <= 400_000
    cells = first(torch.zeros(1, 3, 64, 96))[0].T
    centres, strides = cell_grid(64, 96)
    assert cells.shape == (len(strides), 15)
    assert torch.isfinite(decode_boxes(cells[:, 1:5], centres, strides)).all()


def _crops(count: int) -> Crops:
    """Gray crops with a white spot where their first landmark is."""
    rng = np.random.default_rng(0)
    images = np.full((count, 56, 56, 3), 60, np.uint8)
    points = rng.uniform(-0.2, 0.2, (count, 5, 2)).astype(np.float32)
    for image, (x, y) in zip(images, points[:, 2], strict=True):
        column, row = (int(56 * (value + 0.5)) for value in (x, y))
        image[row - 2 : row + 3, column - 2 : column + 3] = 255
    boxes = np.tile(_floats([-0.2, -0.25, 0.2, 0.25]), (count, 1))
    found = Proposals(
        images, np.ones(count, np.float32), boxes, points, np.zeros(count, np.float32),
        np.zeros(count, np.int8),
    )  # fmt: skip
    return Crops.of(found).take(torch.arange(count))


@pytest.mark.parametrize("moved", [False, True])
def test_labels_move_with_the_crops(moved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("research.detector.refiner.degrade", lambda images, rand: images)
    seen = view(_crops(40), moved=moved, generator=torch.Generator().manual_seed(3))
    for image, (x, y) in zip(seen.images[:, 0], seen.points[:, 2], strict=True):
        weight = (image - 60).clamp(min=0)
        at = (torch.arange(40) + 0.5) / 40 - 0.5
        spot = [
            (weight.sum(0) * at).sum() / weight.sum(),
            (weight.sum(1) * at).sum() / weight.sum(),
        ]
        assert float(spot[0]) == pytest.approx(float(x), abs=0.03)
        assert float(spot[1]) == pytest.approx(float(y), abs=0.03)
    sides = seen.boxes[:, 2:] - seen.boxes[:, :2]
    assert torch.allclose(sides[:, 1] / sides[:, 0], torch.tensor(1.25), atol=1e-4)


def test_mirrored_labels_keep_right_and_left() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    points = _floats([[[2, 3], [6, 3], [4, 5], [3, 7], [5, 7]]])
    _, boxes, marks = mirror(image, _floats([[1, 1, 8, 9]]), points)
    assert boxes.tolist() == [[12, 1, 19, 9]]
    assert marks[0, 0].tolist() == [14, 3]  # what was the left eye
    assert marks[0, 1].tolist() == [18, 3]


class _Search:
    def propose(self, image_rgb: np.ndarray, min_score: float) -> Candidates:
        boxes = _floats([[10, 10, 50, 50], [100, 100, 140, 140], [102, 30, 142, 70]])
        return Candidates(boxes, _floats([2, 1, 0]), np.zeros((3, 5, 2), np.float32))


def test_proposals_are_labelled() -> None:
    truth = _floats([[12, 12, 52, 50], [100, 100, 140, 140]])
    labels = truth, _floats([1, IGNORE]), np.concatenate([NO_POINTS] * 2)
    image = np.zeros((160, 160, 3), np.uint8)
    search: Any = _Search()
    found = collect(search, image, labels, SOURCES.index("fc"), np.random.default_rng(0))
    asked = np.isfinite(found.logits)
    assert found.target[asked].tolist() == [1, 0]  # what is to be ignored is left out
    assert found.target[~asked].tolist() == [1]  # the face itself, displaced
    assert np.allclose(found.boxes[0], (truth[0] - 30) / 80)
    assert found.crops.shape == (3, 56, 56, 3)


def test_refiner_learns_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    target = (np.arange(64) % 2).astype(np.float32)
    crops = rng.integers(0, 60, (64, 56, 56, 3)).astype(np.uint8)
    crops[target > 0, 14:42, 14:42] += 150
    found = Proposals(
        crops, target, np.tile(_floats([-0.25, -0.25, 0.25, 0.25]), (64, 1)),
        np.full((64, 5, 2), np.nan, np.float32), np.zeros(64, np.float32), np.zeros(64, np.int8),
    )  # fmt: skip
    config = RefinerConfig(batch_size=16, epochs=10, lr=0.004, ema=0.5)
    training = RefinerTraining(found, config, tmp_path)
    assert not training.run(seconds=1e-6)
    again = RefinerTraining(found, config, tmp_path)
    assert again.step == training.step == 1
    assert again.run()
    views = view(Crops.of(found).take(torch.arange(64)), moved=False)
    right = (again.average(views.images)[:, 0] > 0) == (views.target > 0)
    assert right.float().mean() > 0.9


def test_landmarks_move_with_the_crops_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("research.detector.refiner.degrade", lambda images, rand: images)
    rng = np.random.default_rng(0)
    images, points = np.full((16, 96, 96, 3), 60, np.uint8), np.zeros((16, 5, 2), np.float32)
    points += rng.uniform(-0.12, 0.12, (16, 1, 2)).astype(np.float32)
    for image, (x, y) in zip(images, points[:, 2], strict=True):
        column, row = (int(96 * (value + 0.5)) for value in (x, y))
        image[row - 3 : row + 4, column - 3 : column + 4] = 255
    boxes = torch.tensor([[-0.2, -0.2, 0.2, 0.2]]).repeat(16, 1)
    crops = Crops(torch.from_numpy(images), torch.ones(16), boxes, torch.from_numpy(points))
    torch.manual_seed(0)
    config = LandmarkConfig(steps=2, lr=0.01, batch=4)
    seen = turned(crops.take(torch.arange(16)), config)
    assert seen.images.shape == (16, 3, 48, 48)
    weight = (seen.images[:, 0] - 60).clamp(min=0)
    at = (torch.arange(48) + 0.5) / 48 - 0.5
    spots = torch.stack([(weight.sum(1) * at).sum(1), (weight.sum(2) * at).sum(1)], 1)
    spots /= weight.sum((1, 2))[:, None]
    assert torch.allclose(spots, seen.points[:, 2], atol=0.03)

    faces = crops, torch.ones(16).double()
    training = LandmarkTraining(faces, tmp_path, config)
    training.learn()
    training.save()
    again = LandmarkTraining(faces, tmp_path, config)
    assert again.step == 1
    assert torch.equal(again.network.maps.weight, training.network.maps.weight)
    again.run()
    assert again.step == 2
    assert not torch.equal(again.network.maps.weight, training.network.maps.weight)


def test_logistic_regression_finds_the_weights() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([np.ones((20_000, 1)), rng.normal(size=(20_000, 2))], axis=1)
    y = (rng.random(20_000) < 1 / (1 + np.exp(-x @ [-0.5, 1.0, 2.0]))).astype(float)
    assert np.allclose(logistic(x, y), [-0.5, 1.0, 2.0], atol=0.1)


def test_calibration_trusts_the_stage_that_knows() -> None:
    rng = np.random.default_rng(0)
    photos = []
    for _ in range(60):
        corner = _floats([[0, 0], [100, 0], [200, 0], [300, 0]])
        boxes = np.concatenate([corner, corner + 40], axis=1)
        face = rng.random(4) < 0.5
        item = Labelled(
            b"", "fc", True, boxes[face], np.ones(int(face.sum()), np.float32),
            np.concatenate([NO_POINTS] * 4)[face],
        )  # fmt: skip
        second = np.where(face, 2, -2) + rng.normal(0, 1.5, 4)
        first = rng.normal(0, 1, 4)
        photos.append(Examined(item, boxes, first.astype(np.float32), second.astype(np.float32)))
    calibration = fit_calibration(photos, 0.4)
    assert calibration.refiner > 3 * abs(calibration.detector)
    matched, index = outcome(photos[0], Calibration(0, 1, 0), 0.4)
    assert photos[0].second[index].tolist() == sorted(photos[0].second, reverse=True)[: len(index)]
    assert len(matched.scores) == len(index)
