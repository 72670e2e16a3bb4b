"""The tracker's bounds: what is still the same face, and what is not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.video.tracker import KalmanTracker, Tracker, assign

Boxes = NDArray[np.float64]


def _boxes(*corners: tuple[float, float], side: float = 40) -> Boxes:
    return np.array([[x, y, x + side, y + side] for x, y in corners], float).reshape(-1, 4)


def _started(**options: Any) -> KalmanTracker:
    """Has seen a face that stands still ten times, until 0.9 s."""
    tracker = KalmanTracker(**{"confirm": 1, **options})
    for step in range(10):
        tracker.update(_boxes((100, 100)), np.ones(1), step / 10)
    return tracker


def _grown_overlap(shift: float, growth: float) -> float:
    side = 40 * (1 + 2 * growth)
    shared = side * max(side - shift, 0)
    return shared / (2 * side**2 - shared)


def test_grown_boxes_must_overlap_a_twentieth() -> None:
    # In sight: grown by a quarter on each side.
    last = max(shift for shift in range(100) if _grown_overlap(shift, 0.25) >= 0.05)
    for shift, number in ((last - 1, 1), (last + 2, 2)):
        found = _started().update(_boxes((100 + shift, 100)), np.ones(1), 0.9001)
        assert found == [(number, 0)], shift
    assert _grown_overlap(last, 0.25) >= 0.05 > _grown_overlap(last + 1, 0.25)


def test_boxes_out_of_sight_grow_with_time_up_to_a_limit() -> None:
    for gone_s, growth in ((0.5, 0.5), (2.0, 0.8)):
        last = max(shift for shift in range(200) if _grown_overlap(shift, growth) >= 0.05)
        for shift, number in ((last - 2, 1), (last + 3, 2)):
            tracker = _started(gap_s=5)
            # Its speed is known to be nothing, and it is not found once.
            tracker.update(_boxes(), np.ones(0), 0.9 + gone_s / 2)
            found = tracker.update(_boxes((100 + shift, 100)), np.ones(1), 0.9 + gone_s)
            assert found == [(number, 0)], (gone_s, shift)


def test_an_unsure_box_must_overlap_three_tenths_as_it_is() -> None:
    last = max(shift for shift in range(40) if _grown_overlap(shift, 0) >= 0.3)
    for shift, found in ((last, [(1, 0)]), (last + 1, [])):
        tracker = _started(start_score=0.5)
        assert tracker.update(_boxes((100 + shift, 100)), np.array([0.4]), 0.9001) == found
    assert _started(start_score=0.5).update(_boxes((100, 100)), np.array([0.5]), 1.0) == [(1, 0)]


def test_an_unsure_box_finds_nobody_who_was_away() -> None:
    tracker = _started(start_score=0.5)
    tracker.update(_boxes(), np.ones(0), 1.0)
    assert tracker.update(_boxes((100, 100)), np.array([0.4]), 1.1) == []
    assert tracker.update(_boxes((100, 100)), np.array([0.9]), 1.2) == [(1, 0)]


def test_sure_detections_choose_first() -> None:
    tracker = _started(start_score=0.5)
    both = _boxes((100, 100), (104, 100))
    assert tracker.update(both, np.array([0.4, 0.6]), 1.0) == [(1, 1)]


def test_a_gap_may_be_as_long_as_it_says() -> None:
    for gap_s, number in ((0.5, 1), (0.49, 2)):
        tracker = KalmanTracker(confirm=1, gap_s=gap_s)
        for time_s in (0.0, 0.25, 0.5):
            tracker.update(_boxes((100, 100)), np.ones(1), time_s)
        tracker.update(_boxes(), np.ones(0), 1.0)
        assert tracker.update(_boxes((100, 100)), np.ones(1), 1.1) == [(number, 0)]


def test_a_number_is_given_at_the_third_detection() -> None:
    tracker = KalmanTracker()
    found = [tracker.update(_boxes((0, 0)), np.zeros(1), step / 10) for step in range(4)]
    assert found == [[], [], [(1, 0)], [(1, 0)]]
    assert (tracker.name, tracker.score_share, tracker.start_score, tracker.gap_s) == (
        "kalman", 0.6, 0.0, 1.0,
    )  # fmt: skip
    assert (Tracker.name, Tracker.score_share) == ("custom", 1.0)


def _colours(*values: float) -> NDArray[np.float32]:
    return np.repeat(np.array(values, np.float32)[:, None], 6, axis=1)


def test_colours_may_differ_by_a_third() -> None:
    for value, number in ((0.84, 1), (0.86, 2)):
        tracker = KalmanTracker(confirm=1)
        tracker.update(_boxes((0, 0)), np.ones(1), 0.0, appearance=_colours(0.5))
        found = tracker.update(_boxes((0, 0)), np.ones(1), 0.1, appearance=_colours(value))
        assert found == [(number, 0)], value


def test_two_pairs_that_are_possible_are_better_than_one_that_is_good() -> None:
    # Costs of the first face's pairs 0.5 and 1.3, of the second one's 1.3 and none.
    tracker = KalmanTracker(confirm=1)
    tracker.update(_boxes((0, 0), (52, 0)), np.ones(2), 0.0, appearance=_colours(0.5, 0.8))
    found = tracker.update(
        _boxes((20, 0), (-32, 0)), np.ones(2), 0.01, appearance=_colours(0.5, 0.8)
    )
    assert found == [(2, 0), (1, 1)]


def test_colours_are_remembered_slowly_and_never_from_a_crowd() -> None:
    tracker = KalmanTracker(confirm=1)
    tracker.update(_boxes((0, 0)), np.ones(1), 0.0, appearance=_colours(0.5))
    tracker.update(_boxes((0, 0)), np.ones(1), 0.1, appearance=_colours(0.7))
    kept = tracker._tracks[0].appearance
    assert kept is not None
    assert kept == pytest.approx(np.full(6, 0.85 * 0.5 + 0.15 * 0.7))
    assert kept.dtype == np.float32
    # Overlaps above a tenth are a crowd: of squares of 40, shifts below 32.7.
    for shift, value in ((32, 0.53), (34, 0.85 * 0.53 + 0.15 * 0.7)):
        crowd = KalmanTracker(confirm=1)
        crowd.restore(tracker.to_state())
        crowd.update(_boxes((0, 0), (shift, 0)), np.ones(2), 0.2, appearance=_colours(0.7, 0.0))
        found = crowd._tracks[0].appearance
        assert found is not None
        assert found == pytest.approx(np.full(6, value)), shift


def test_a_face_without_colours_takes_those_that_come() -> None:
    tracker = KalmanTracker(confirm=1)
    tracker.update(_boxes((0, 0)), np.ones(1), 0.0)
    tracker.update(_boxes((0, 0)), np.ones(1), 0.1, appearance=_colours(0.3))
    assert tracker._tracks[0].appearance == pytest.approx(np.full(6, 0.3))
    tracker.update(_boxes((0, 0)), np.ones(1), 0.2)
    assert tracker._tracks[0].appearance == pytest.approx(np.full(6, 0.3))


def test_colour_outweighs_place_twice() -> None:
    """Position says one thing, colour another; the cost of a difference of 0.2 is 0.4."""
    colours = _colours(0.5, 0.7)
    for shift, swapped in ((10.0, True), (2.0, True), (0.0, False)):
        tracker = KalmanTracker(confirm=1)
        tracker.update(_boxes((0, 0), (20, 0)), np.ones(2), 0.0, appearance=colours)
        places = _boxes((shift, 0), (20 - shift, 0))
        found = tracker.update(places, np.ones(2), 0.01, appearance=colours[::-1])
        assert (found == [(2, 0), (1, 1)]) == swapped, shift
    tracker = KalmanTracker(confirm=1)
    near = _colours(0.5, 0.6)
    tracker.update(_boxes((0, 0), (30, 0)), np.ones(2), 0.0, appearance=near)
    found = tracker.update(_boxes((0, 0), (30, 0)), np.ones(2), 0.01, appearance=near[::-1])
    assert found == [(1, 0), (2, 1)], "a difference of a tenth counts less than the place"


def test_what_is_visible_moves_on_and_ends_with_a_cut() -> None:
    tracker = KalmanTracker(confirm=2)
    for step in range(10):
        tracker.update(_boxes((10 * step, 0)), np.ones(1), step / 10)
    tracker.update(_boxes((100, 0), (300, 0)), np.ones(2), 1.0)
    ((number, box),) = tracker.visible(1.1)
    assert number == 1
    assert box == pytest.approx([110, 0, 150, 40], abs=0.5)
    tracker.update(_boxes((300, 0)), np.ones(1), 1.1)
    assert [number for number, _ in tracker.visible(1.1)] == [2], "only what was just detected"
    tracker.end_all()
    assert tracker.visible(1.2) == []
    tracker.update(_boxes((300, 0)), np.ones(1), 1.2)
    assert tracker.update(_boxes((300, 0)), np.ones(1), 1.3) == [(3, 0)]


def test_state_is_json_and_holds_unconfirmed_faces() -> None:
    tracker = KalmanTracker(confirm=3)
    for step in range(2):
        tracker.update(_boxes((0, 0)), np.ones(1), step / 10, appearance=_colours(0.4))
    other = KalmanTracker(confirm=3)
    other.restore(json.loads(json.dumps(tracker.to_state())))
    assert other.update(_boxes((0, 0)), np.ones(1), 0.2, appearance=_colours(0.4)) == [(1, 0)]
    assert other.next_id == 2


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 99), st.sampled_from([0.3, 0.8]))
def test_assignment_is_the_best_of_all(n: int, m: int, seed: int, limit: float) -> None:
    from itertools import permutations

    cost = np.random.default_rng(seed).random((n, m))
    pairs = assign(cost, limit=limit)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(cost[pair] <= limit for pair in pairs)
    capped = np.minimum(cost, limit) if n <= m else np.minimum(cost, limit).T
    best = min(
        sum(capped[row, column] for row, column in enumerate(chosen))
        for chosen in permutations(range(max(n, m)), min(n, m))
    )
    paid = sum(cost[pair] for pair in pairs) + limit * (min(n, m) - len(pairs))
    assert paid == pytest.approx(best)


def test_impossible_pairs_are_left_out_even_without_a_limit() -> None:
    inf = np.inf
    assert assign(np.array([[inf, 1.0], [inf, 2.0]])) in ([(0, 1)], [(0, 1), (1, 0)])
    assert assign(np.array([[inf, 1.0], [inf, 2.0]]), limit=9) == [(0, 1)]
    assert assign(np.array([[1.0, 1.0]]), limit=1.0) == [(0, 0)]
    assert assign(np.zeros((0, 3))) == []
    assert assign(np.array([[-5.0, inf], [3.0, -5.0]])) == [(0, 0), (1, 1)]


def test_a_track_counts_its_detections() -> None:
    tracker = KalmanTracker(confirm=4)
    found = [tracker.update(_boxes((0, 0)), np.zeros(1), step / 10) for step in range(4)]
    assert found == [[], [], [], [(1, 0)]]
    assert tracker._tracks[0].hits == 4


def test_the_limit_and_the_colours_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        assign(np.zeros((1, 1)), 3.0)  # type: ignore[call-arg]
