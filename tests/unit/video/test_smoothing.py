"""The Kalman filter of a box and the running mean of a face, against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.video.smoothing import BoxMotion, ProbabilitySmoother

_STEPS = st.lists(st.floats(0.01, 0.7), min_size=1, max_size=6)


def _smoothed(
    times: NDArray[np.float64], probs: NDArray[np.float64], smooth_s: float
) -> tuple[Any, ...]:
    """Mean, standard error and effective frames, written out as sums over pairs."""
    w = np.exp(-(times[-1] - times) / smooth_s)
    alike = np.exp(-np.abs(times[:, None] - times[None]) / 0.4)
    r = min((w[:, None] * w[None] * alike).sum() / w.sum() ** 2, 1.0)
    mean = (w[:, None] * probs).sum(axis=0) / w.sum()
    spread = (w[:, None] * probs**2).sum(axis=0) / w.sum() - mean**2
    variance = (2 * 0.1 * mean * (1 - mean) + spread / r) / (2 + 1 / r - 1)
    return mean, np.sqrt(np.maximum(variance, 0) * r), 1 / r


@given(_STEPS, st.floats(0.1, 3), st.integers(0, 9))
def test_running_sums_are_the_sums_over_all_frames(
    steps: list[float], smooth_s: float, seed: int
) -> None:
    times = 5 + np.cumsum(steps)
    probs = np.random.default_rng(seed).dirichlet(np.ones(3), len(times))
    smoother = ProbabilitySmoother(smooth_s)
    known = [smoother.add(float(t), p) for t, p in zip(times, probs, strict=True)][-1]
    mean, std, frames = _smoothed(times, probs, smooth_s)
    assert known.probs == pytest.approx(mean)
    assert known.std == pytest.approx(std, abs=1e-7)
    assert known.frames == pytest.approx(frames)


def test_one_frame_has_the_error_of_the_prior() -> None:
    for smooth_s in (0.0, 0.5):
        known = ProbabilitySmoother(smooth_s).add(3.0, np.array([0.8, 0.2, 0.0]))
        assert known.frames == 1.0
        # Two frames of prior and one of none: 2 * 0.1 * p * (1 - p) / 2.
        assert known.std == pytest.approx(np.sqrt([0.016, 0.016, 0.0]))


def test_without_smoothing_nothing_of_the_past_stays() -> None:
    smoother = ProbabilitySmoother(0.0)
    smoother.add(0.0, np.array([1.0, 0.0]))
    known = smoother.add(0.1, np.array([0.25, 0.75]))
    assert known.probs.tolist() == [0.25, 0.75]
    assert known.frames == 1.0


def test_time_that_stands_still_or_goes_back_counts_as_none() -> None:
    known = []
    for second in (1.0, 0.5):
        smoother = ProbabilitySmoother(1.0)
        smoother.add(1.0, np.array([1.0, 0.0]))
        known.append(smoother.add(second, np.array([0.0, 1.0])))
    assert known[0].probs.tolist() == known[1].probs.tolist() == [0.5, 0.5]
    assert known[0].frames == known[1].frames == pytest.approx(1.0)


class _Textbook:
    """A constant-velocity Kalman filter of four coordinates, matrix by matrix."""

    def __init__(self, box: NDArray[np.float64], time_s: float) -> None:
        self.time_s = time_s
        self.x = [np.array([value, 0.0]) for value in self.state(box)]
        side = self.side()
        first = [(2.0 * side) ** 2, (2.0 * side) ** 2, 0.0, 0.0]
        self.P = [np.diag([r, v]) for r, v in zip(self.noise(), first, strict=True)]

    @staticmethod
    def state(box: NDArray[np.float64]) -> NDArray[np.float64]:
        size = box[2:] - box[:2]
        return np.array([*((box[:2] + box[2:]) / 2), *np.log(size)])

    def side(self) -> float:
        return float(np.sqrt(np.exp(self.x[2][0]) * np.exp(self.x[3][0])))

    def noise(self) -> list[float]:
        centre = (0.04 * self.side()) ** 2
        return [centre, centre, 0.06**2, 0.06**2]

    def predict(self, time_s: float) -> tuple[list[Any], list[Any]]:
        dt, q = time_s - self.time_s, 4.0 * self.side() ** 2
        moves = np.array([[1.0, dt], [0.0, 1.0]])
        wander = q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        stays = np.array([[1.0, 0.0], [0.0, 0.0]])
        x = [moves @ one for one in self.x[:2]] + [stays @ one for one in self.x[2:]]
        P = [moves @ one @ moves.T + wander for one in self.P[:2]]
        return x, P + [stays @ one @ stays.T + np.diag([0.1 * dt, 0.0]) for one in self.P[2:]]

    def update(self, box: NDArray[np.float64], time_s: float) -> None:
        x, P = self.predict(time_s)
        noise = self.noise()
        H = np.array([[1.0, 0.0]])
        self.x, self.P = [], []
        for mean, cov, r, z in zip(x, P, noise, self.state(box), strict=True):
            K = cov @ H.T / (H @ cov @ H.T + r)
            self.x.append(mean + K[:, 0] * (z - mean[0]))
            self.P.append((np.eye(2) - K @ H) @ cov)
        self.time_s = time_s

    def box_at(self, time_s: float) -> NDArray[np.float64]:
        x = np.array([one[0] for one in self.predict(time_s)[0]])
        return np.concatenate([x[:2] - np.exp(x[2:]) / 2, x[:2] + np.exp(x[2:]) / 2])


@given(_STEPS, st.integers(0, 9))
def test_motion_is_that_of_a_textbook_filter(steps: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    box, time_s = np.array([10.0, 20.0, 40.0, 70.0]), 2.0
    motion, book = BoxMotion(box, time_s), _Textbook(box, time_s)
    for step in steps:
        time_s += step
        box = box + rng.normal(0, 3, 4)
        motion.update(box, time_s)
        book.update(box, time_s)
        assert motion.box_at(time_s + 0.3) == pytest.approx(book.box_at(time_s + 0.3))
    assert motion.time_s == time_s
    assert motion.box_at(time_s - 1) == pytest.approx(motion.box_at(time_s)), "no way back"


def test_a_box_without_area_is_a_thousandth_of_a_pixel() -> None:
    motion = BoxMotion(np.array([5.0, 5.0, 5.0, 5.0]), 0.0)
    assert motion.box_at(0.0) == pytest.approx([4.9995, 4.9995, 5.0005, 5.0005])


def test_a_box_may_be_given_as_single_precision_or_whole_numbers() -> None:
    whole = BoxMotion(np.array([0, 0, 10, 20]), 0.0)
    assert whole.box_at(0.5) == pytest.approx([0, 0, 10, 20])
    single = BoxMotion(np.array([0, 0, 10, 20], np.float32), 0.0)
    assert single.box_at(0.5).dtype == np.float64


@given(_STEPS)
def test_a_stopped_filter_goes_on_from_its_state(steps: list[float]) -> None:
    first, second = BoxMotion(np.array([0.0, 0.0, 9.0, 9.0]), 0.0), ProbabilitySmoother(0.5)
    times = np.cumsum(steps)
    for time_s in times:
        first.update(np.array([time_s, 0, time_s + 9, 9]), float(time_s))
        second.add(float(time_s), np.array([0.5, 0.5]))
    other = BoxMotion(np.array([0.0, 0.0, 1.0, 1.0]), 0.0)
    other.restore(first.to_state())
    assert other.box_at(9.0).tolist() == first.box_at(9.0).tolist()
    smoother = ProbabilitySmoother(0.5)
    smoother.restore(second.to_state())
    later = [each.add(9.0, np.array([0.1, 0.9])) for each in (smoother, second)]
    assert later[0].std.tolist() == later[1].std.tolist()
