"""Geometry of boxes: what holds for any of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.detectors import Framing, crop_box
from mien.detectors.boxes import iou, nms
from mien.preprocess import whole_box

_SIDES = st.integers(1, 30)
_BOX = st.tuples(st.integers(-20, 40), st.integers(-20, 40), _SIDES, _SIDES).map(
    lambda box: [box[0], box[1], box[0] + box[2], box[1] + box[3]]
)
_BOXES = st.lists(_BOX, min_size=1, max_size=8).map(lambda boxes: np.array(boxes, float))


@given(_BOXES, _BOXES)
def test_overlap_is_symmetric_and_between_0_and_1(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> None:
    found = iou(first, second)
    assert found.shape == (len(first), len(second))
    assert found == pytest.approx(iou(second, first).T)
    assert ((found >= 0) & (found <= 1)).all()
    assert np.diag(iou(first, first)) == pytest.approx(np.ones(len(first)))
    # Whole pixels can be counted.
    for (row, column), value in np.ndenumerate(found):
        a, b = (
            {(x, y) for x in range(int(x1), int(x2)) for y in range(int(y1), int(y2))}
            for x1, y1, x2, y2 in (first[row], second[column])
        )
        assert value == pytest.approx(len(a & b) / len(a | b))


@given(_BOXES, st.integers(0, 9), st.sampled_from([0.1, 0.3, 0.5]), st.sampled_from([0.6, 1.0]))
def test_suppression_keeps_the_best_and_does_nothing_twice(
    boxes: NDArray[np.float64], seed: int, threshold: float, inside: float
) -> None:
    scores = np.random.default_rng(seed).permutation(len(boxes)) / len(boxes)
    kept = nms(boxes, scores, iou_threshold=threshold, inside=inside)
    assert kept[0] == scores.argmax()
    assert (np.diff(scores[kept]) < 0).all()
    again = nms(boxes[kept], scores[kept], iou_threshold=threshold, inside=inside)
    assert again.tolist() == list(range(len(kept)))
    overlap = iou(boxes[kept], boxes[kept]) - np.eye(len(kept))
    assert (overlap <= threshold + 1e-9).all()
    for gone in set(range(len(boxes))) - set(kept.tolist()):
        better = kept[scores[kept] > scores[gone]]
        most = iou(boxes[[gone]], boxes[better]).max()
        assert most > threshold - 1e-9 or inside < 1


@pytest.mark.parametrize("inside", [0.7, 1.0])
def test_many_boxes_are_suppressed_as_one_by_one(inside: float) -> None:
    rng = np.random.default_rng(0)
    middles = rng.uniform(0, 400, (40, 2))[rng.integers(0, 40, 500)] + rng.normal(0, 4, (500, 2))
    half = rng.uniform(8, 30, (500, 2))
    boxes = np.concatenate([middles - half, middles + half], axis=1)
    scores = rng.normal(size=500).round(1)  # with ties
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        overlap = iou(boxes[[index]], boxes[kept])[0]
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        shared = overlap * (areas[index] + areas[kept]) / (1 + overlap)
        within = shared / np.minimum(areas[index], areas[kept])
        if not ((overlap > 0.4).any() or (within > inside + 1e-9).any()):
            kept.append(index)
    assert 40 < len(kept) < 200
    assert nms(boxes, scores, iou_threshold=0.4, inside=inside).tolist() == kept


def test_suppression_has_a_threshold_of_three_tenths_and_ties_go_to_the_first() -> None:
    # Of squares of 10, a shift by s leaves (10 - s) / (10 + s): 0.33 at 5, 0.25 at 6.
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [11, 0, 21, 10]], float)
    assert nms(boxes, np.ones(3)).tolist() == [0, 2]
    assert nms(boxes, np.ones(3), iou_threshold=0.2).tolist() == [0, 2]
    assert nms(boxes, np.ones(3), iou_threshold=0.34).tolist() == [0, 1, 2]
    near = np.array([[0, 0, 10, 10], [6, 0, 16, 10]], float)
    assert nms(near, np.ones(2)).tolist() == [0, 1]
    assert nms(near, np.ones(2), iou_threshold=0.2).tolist() == [0]


def test_suppression_at_the_threshold_itself_keeps_both() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10]], float)  # one half, all inside
    assert nms(boxes, np.array([2.0, 1.0]), iou_threshold=0.5).tolist() == [0, 1]
    assert nms(boxes, np.array([2.0, 1.0]), iou_threshold=0.5, inside=0.99).tolist() == [0]
    assert nms(boxes, np.array([1.0, 2.0]), iou_threshold=0.5, inside=0.99).tolist() == [1]
    half = np.array([[0, 0, 10, 10], [5, 0, 15, 10]], float)  # half of each in the other
    assert nms(half, np.ones(2), iou_threshold=0.5, inside=0.5).tolist() == [0, 1]
    assert nms(half, np.ones(2), iou_threshold=0.5, inside=0.49).tolist() == [0]


def test_overlap_of_boxes_without_area_is_0() -> None:
    point = np.array([[3.0, 3.0, 3.0, 3.0]])
    assert iou(point, point).tolist() == [[0.0]]
    assert iou(np.zeros((0, 4)), point).shape == (0, 1)
    assert iou(point, np.zeros((0, 4))).dtype == np.float64
    apart = np.array([[0.0, 0.0, 1.0, 1.0]])
    assert iou(apart, apart + 2).tolist() == [[0.0]], "two gaps are no overlap"


@given(_BOXES, st.floats(0.2, 3), st.floats(-1, 1), st.sampled_from(["sqrt", "max"]))
def test_crops_are_squares_around_the_shifted_centre(
    boxes: NDArray[np.float64], scale: float, shift: float, side: str
) -> None:
    framing = Framing(scale, shift, -shift, side)  # type: ignore[arg-type]
    squares = crop_box(boxes, framing, 1.2)
    sides = squares[:, 2:] - squares[:, :2]
    assert sides[:, 0] == pytest.approx(sides[:, 1])
    size = boxes[:, 2:] - boxes[:, :2]
    own = size.max(axis=1) if side == "max" else np.sqrt(size.prod(axis=1))
    assert sides[:, 0] == pytest.approx(1.2 * scale * own)
    moved = (squares[:, :2] + squares[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2
    assert moved[:, 0] == pytest.approx(scale * own * shift, abs=1e-9)
    assert moved[:, 1] == pytest.approx(-scale * own * shift, abs=1e-9)


@given(st.integers(1, 500), st.integers(1, 500))
def test_the_square_of_a_whole_picture_lies_in_its_middle(width: int, height: int) -> None:
    x1, y1, x2, y2 = whole_box(width, height)
    assert x2 - x1 == y2 - y1 == min(width, height)
    assert (x1, y1) == (width - x2, height - y2)
    assert min(x1, y1) == 0


def test_small_boxes_overlap_as_large_ones_do() -> None:
    boxes = np.array([[0, 0, 0.2, 0.2], [0.1, 0, 0.3, 0.2]])
    assert iou(boxes, boxes)[0, 1] == pytest.approx(1 / 3)


def test_thresholds_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        nms(np.zeros((0, 4)), np.zeros(0), 0.5)  # type: ignore[call-arg]


@pytest.mark.parametrize("move", [(2.5, 0.0), (0.0, 2.5), (1.5, -1.2), (-1.1, 1.4)])
def test_boxes_of_a_pixel_beside_each_other_both_stay(move: tuple[float, float]) -> None:
    box = np.array([4.0, 4.0, 5.0, 5.0])
    boxes = np.stack([box, box + np.tile(move, 2)])
    assert nms(boxes, np.array([0.9, 0.8]), iou_threshold=0.0, inside=0.1).tolist() == [0, 1]
