from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from mien.errors import ConfigError
from mien.video.config import VideoConfig
from mien.video.recognizer import CutDetector
from mien.video.smoothing import CORRELATION_S, BoxMotion, ProbabilitySmoother
from mien.video.tracker import KalmanTracker, assign


def _boxes(*corners: tuple[float, float], side: float = 40) -> np.ndarray:
    return np.array([[x, y, x + side, y + side] for x, y in corners], float).reshape(-1, 4)


def _json(state: object) -> object:
    return json.loads(json.dumps(state))


def test_assignment_costs_what_scipy_s_costs() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        cost = rng.normal(0, 3, rng.integers(1, 9, 2)).round(1)
        rows, columns = linear_sum_assignment(cost)
        pairs = assign(cost)
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == min(cost.shape)
        assert sum(cost[i, j] for i, j in pairs) == pytest.approx(cost[rows, columns].sum())


def test_assignment_leaves_out_what_is_too_expensive_or_impossible() -> None:
    cost = np.array([[0.1, np.inf], [np.inf, 0.9]])
    assert assign(cost) == [(0, 0), (1, 1)]
    assert assign(cost, limit=0.5) == [(0, 0)]
    assert assign(np.full((2, 2), np.inf), limit=1.0) == []
    assert assign(np.zeros((0, 3))) == []
    # The expensive pair (0, 1) must not push row 1 off its good column 1.
    assert assign(np.array([[5.0, 9.0], [9.0, 0.1]]), limit=1.0) == [(1, 1)]


def test_motion_of_uneven_times_is_that_of_even_ones() -> None:
    rng = np.random.default_rng(1)
    motion = BoxMotion(_boxes((0, 0))[0], 0.0)
    for time_s in np.sort(rng.uniform(0, 2, 60)):
        motion.update(_boxes((100 * time_s, 50 * time_s))[0], float(time_s))
    assert motion.box_at(2.4) == pytest.approx([240, 120, 280, 160], abs=3)


def test_motion_survives_a_noisy_detector() -> None:
    rng = np.random.default_rng(2)
    motion = BoxMotion(_boxes((100, 100))[0], 0.0)
    for step in range(1, 100):
        motion.update(_boxes((100, 100))[0] + rng.normal(0, 1.6, 4), step / 25)
    assert np.abs(motion.box_at(4.0) - _boxes((100, 100))[0]).max() < 4


def _walk(
    tracker: KalmanTracker, steps: int = 40, *, hidden: range = range(0)
) -> list[dict[int, str]]:
    """Two faces walk through each other; in ``hidden`` frames only the first is detected."""
    seen = []
    for step in range(steps):
        left, right = (step * 10.0, 100.0), (390.0 - step * 10, 104.0)
        names = ["a"] if step in hidden else ["b", "a"] if step % 2 else ["a", "b"]
        places = {"a": left, "b": right}
        found = tracker.update(
            _boxes(*(places[name] for name in names)), np.full(len(names), 0.9), step / 25
        )
        seen.append({number: names[index] for number, index in found})
    return seen


def test_crossing_faces_keep_their_numbers_by_motion_alone() -> None:
    seen = _walk(KalmanTracker(confirm=1), hidden=range(17, 23))
    assert seen[0] == {1: "a", 2: "b"}
    assert seen[-1] == {1: "a", 2: "b"}
    assert sum(len(frame) for frame in seen) == 40 + 34


def test_faces_that_touch_and_turn_back_are_told_apart_by_colour() -> None:
    tracker = KalmanTracker(confirm=1)
    colours = np.array([[0.8, 0.2, 0.2], [0.2, 0.2, 0.8]], np.float32)
    found = []
    for step in range(40):
        way = 6.0 * min(step, 39 - step)
        boxes = _boxes((60 + way, 100), (300 - way, 100))
        found = tracker.update(boxes, np.ones(2), step / 12, appearance=colours)
    assert found == [(1, 0), (2, 1)]
    assert tracker.next_id == 3


@pytest.mark.parametrize(("gone_s", "number"), [(0.8, 1), (1.4, 2)])
def test_short_gap_keeps_the_number_a_long_one_does_not(gone_s: float, number: int) -> None:
    tracker = KalmanTracker(gap_s=1.0, confirm=1)
    for step in range(10):
        tracker.update(_boxes((50, 50)), np.ones(1), step / 10)
    for time_s in np.arange(1.0, 0.95 + gone_s, 0.1):
        assert tracker.update(_boxes(), np.ones(0), float(time_s)) == []
    assert tracker.update(_boxes((52, 50)), np.ones(1), 0.9 + gone_s) == [(number, 0)]


def test_flicker_never_becomes_a_track() -> None:
    tracker = KalmanTracker(confirm=3)
    for step in range(30):
        seen = step % 3 != 2  # two detections, then none
        boxes = _boxes((50, 50)) if seen else _boxes()
        assert tracker.update(boxes, np.ones(len(boxes)), step / 25) == []
    assert tracker.next_id == 1


def test_unsure_detection_continues_a_track_but_starts_none() -> None:
    tracker = KalmanTracker(start_score=0.5, confirm=1)
    both = _boxes((50, 50), (200, 50))
    assert len(tracker.update(both, np.array([0.9, 0.3]), 0.0)) == 1
    assert tracker.update(both, np.array([0.3, 0.3]), 0.1) == [(1, 0)]


def test_unsure_detections_never_confirm_a_track() -> None:
    tracker = KalmanTracker(start_score=0.5, confirm=3)
    for step in range(20):
        score = 0.9 if step % 3 == 0 else 0.4
        assert tracker.update(_boxes((50, 50)), np.array([score]), step / 25) == []
    assert tracker.next_id == 1


def test_tracker_goes_on_from_its_state() -> None:
    whole, first = KalmanTracker(confirm=2), KalmanTracker(confirm=2)
    rng = np.random.default_rng(3)
    frames = [_boxes(*rng.uniform(0, 200, (3, 2))) + rng.normal(0, 2) for _ in range(12)]
    colours = rng.uniform(0, 1, (12, 3, 6)).astype(np.float32)

    def run(tracker: KalmanTracker, steps: range) -> list[list[tuple[int, int]]]:
        return [
            tracker.update(frames[step], np.ones(3), step / 5, appearance=colours[step])
            for step in steps
        ]

    expected = run(whole, range(12))
    start = run(first, range(6))
    second = KalmanTracker(confirm=2)
    second.restore(_json(first.to_state()))  # type: ignore[arg-type]
    assert start + run(second, range(6, 12)) == expected
    assert second.to_state() == whole.to_state()


def test_smoothing_of_two_frames_by_hand() -> None:
    smoother = ProbabilitySmoother(0.5)
    first = smoother.add(0.0, np.array([1.0, 0.0]))
    assert first.frames == 1
    assert first.std == pytest.approx([0, 0])
    known = smoother.add(0.5, np.array([0.0, 1.0]))
    old = np.exp(-1.0)
    assert known.probs == pytest.approx([old / (1 + old), 1 / (1 + old)])
    alike = np.exp(-0.5 / CORRELATION_S)
    r = (1 + old**2 + 2 * old * alike) / (1 + old) ** 2
    assert known.frames == pytest.approx(1 / r)
    p = known.probs[0]
    variance = (2 * 0.1 * p * (1 - p) + p * (1 - p) / r) / (2 + 1 / r - 1)
    assert known.std == pytest.approx(np.sqrt(variance * r))


def test_uncertainty_covers_the_truth_where_errors_are_alike() -> None:
    """Errors of an AR(1) process around a constant: 90 % intervals hold it about as often."""
    rng = np.random.default_rng(4)
    inside = naive = 0
    for _ in range(300):
        smoother, error, values = ProbabilitySmoother(1.0), rng.normal(), []
        keep = np.exp(-0.04 / CORRELATION_S)
        for step in range(75):
            error = keep * error + np.sqrt(1 - keep**2) * rng.normal()
            p = 0.6 + 0.08 * error
            values.append(p)
            known = smoother.add(step / 25, np.array([p, 1 - p]))
        miss = abs(known.probs[0] - 0.6)
        inside += miss <= 1.645 * known.std[0]
        naive += miss <= 1.645 * np.std(values) / np.sqrt(len(values))
    assert 0.82 <= inside / 300 <= 0.99
    assert naive / 300 < 0.5, "as if frames were independent"


def test_smoothing_off_takes_each_frame_alone_and_state_goes_on() -> None:
    off = ProbabilitySmoother(0.0)
    off.add(0.0, np.array([0.9, 0.1]))
    assert off.add(0.04, np.array([0.2, 0.8])).probs == pytest.approx([0.2, 0.8])
    one, other = ProbabilitySmoother(0.7), ProbabilitySmoother(0.7)
    for step in range(5):
        one.add(step / 9, np.array([0.3, 0.7]))
    other.restore(_json(one.to_state()))  # type: ignore[arg-type]
    a, b = (smoother.add(0.6, np.array([0.8, 0.2])) for smoother in (one, other))
    assert (a.probs == b.probs).all()
    assert (a.std == b.std).all()


def test_cut_is_found_and_a_moving_camera_is_none() -> None:
    rng = np.random.default_rng(5)
    scenery = rng.integers(0, 256, (12, 60, 3), np.uint8).repeat(15, axis=0).repeat(15, axis=1)
    cuts = CutDetector()
    assert not any(cuts.is_cut(scenery[:, 4 * i : 4 * i + 320]) for i in range(40))
    other = CutDetector()
    other.restore(_json(cuts.to_state()))  # type: ignore[arg-type]
    for detector in (cuts, other):
        assert detector.is_cut(255 - scenery[:, 500:820])
        assert not detector.is_cut(255 - scenery[:, 504:824])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fps": -1}, "fps must be at least 0"),
        ({"fps": float("nan")}, "fps must be a number"),
        ({"detect_every": 0}, "detect_every must be at least 1"),
        ({"detect_every": 1.5}, "whole number"),
        ({"min_face": 0}, "min_face"),
        ({"srt": 1}, "srt must be true or false"),
        ({"smooth_s": "soon"}, "smooth_s must be a number"),
    ],
)
def test_impossible_setting_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        VideoConfig(**values)  # type: ignore[arg-type]
