"""What is known of one face over time: where it is, and its probabilities.

The box. A Kalman filter for each coordinate, made for uneven frame times; see :class:`BoxMotion`.

The probabilities: their recent mean, and how far to trust it. The frames of the last moments show
one expression; each frame's probabilities are that expression's plus an error. The estimate is the
mean of the frames' probabilities with weights ``w_i = exp(-(t - t_i) / smooth_s)``. Errors of
neighbouring frames are alike (same light, same angle): their correlation is taken as ``exp(-|t_i -
t_j| / CORRELATION_S)``. So the mean's variance is not ``variance / frames`` but ``variance * r``,
with

    r = sum_ij w_i w_j exp(-|t_i - t_j| / CORRELATION_S) / (sum_i w_i)^2,

and ``1 / r`` is the effective number of frames: twenty-five frames of one second count as about
two. The variance itself is estimated from the frames' spread; while they are few, it leans on a
prior of a tenth of ``p (1 - p)``, the variance of a Beta distribution worth nine observations.

What the number says is how well the recent mean of *this model's answers* is known. Whether the
model is right is another matter: its calibration says that, and no number of frames mends it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mien.arrays import F64, Floats

#: The centre moves on at its speed; the logarithms of width and height stay where they are.
_MOVES = np.array([1.0, 1.0, 0.0, 0.0])
#: How fast speed wanders: (sides / s) squared per second for the centre.
_CENTRE_WANDER = 4.0
#: How fast the logarithm of a side wanders: squared, per second.
_SIZE_WANDER = 0.1
#: Standard deviations of a detector's box: centre in sides, sides as a share.
_CENTRE_NOISE, _SIZE_NOISE = 0.04, 0.06
#: Standard deviation of the speed of a face seen for the first time, sides / s.
_FIRST_SPEED = 2.0
#: Seconds over which the errors of two frames stay alike.
CORRELATION_S = 0.4
_PRIOR_SHARE, _PRIOR_FRAMES = 0.1, 2.0


class Resumable:
    """Numbers and arrays that a stopped run goes on with."""

    def to_state(self) -> dict[str, Any]:
        """Returns plain JSON types for :meth:`restore`."""
        return {name: np.asarray(value).tolist() for name, value in vars(self).items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where :meth:`to_state` was called."""
        for name, value in state.items():
            setattr(self, name, np.array(value) if isinstance(value, list) else value)


class BoxMotion(Resumable):
    """Tracks one box with a constant-velocity Kalman filter (Kalman, 1960) for each coordinate.

    The state is centre x, centre y, log width, log height, each with its speed; centres move with
    constant velocity, sizes wander. Noise scales with the face, so that a near and a far face are
    treated alike. Time may pass in any steps.

    >>> motion = BoxMotion(np.array([0.0, 0.0, 10.0, 10.0]), 0.0)
    >>> for step in range(1, 20):
    ...     motion.update(np.array([0.0, 0.0, 10.0, 10.0]) + [5 * step, 0, 5 * step, 0], step / 10)
    >>> motion.box_at(2.1).astype(int).tolist()
    [105, 0, 115, 10]
    """

    def __init__(self, box_xyxy: Floats, time_s: float) -> None:
        self.time_s = time_s
        self._mean = np.zeros((4, 2))
        self._mean[:, 0] = _to_state(box_xyxy)
        self._cov = np.zeros((4, 2, 2))
        self._cov[:, 0, 0] = self._noise()
        self._cov[:2, 1, 1] = (_FIRST_SPEED * self._side()) ** 2

    def box_at(self, time_s: float) -> F64:
        """Returns where the box is at a time, float64 (4,), without changing anything."""
        state = self._predict(time_s)[0][:, 0]
        half = np.exp(state[2:]) / 2
        return np.concatenate([state[:2] - half, state[:2] + half])

    def update(self, box_xyxy: Floats, time_s: float) -> None:
        """Takes in a box that was seen at a time not before the last one."""
        mean, cov = self._predict(time_s)
        innovation = _to_state(box_xyxy) - mean[:, 0]
        gain = cov[:, :, 0] / (cov[:, 0, 0] + self._noise())[:, None]
        self._mean = mean + gain * innovation[:, None]
        self._cov = cov - gain[:, :, None] * cov[:, None, 0, :]
        self.time_s = time_s

    def _side(self) -> float:
        return float(np.exp(self._mean[2:, 0].mean()))

    def _noise(self) -> F64:
        centre, size = (_CENTRE_NOISE * self._side()) ** 2, _SIZE_NOISE**2
        return np.array([centre, centre, size, size])

    def _predict(self, time_s: float) -> tuple[F64, F64]:
        dt = max(time_s - self.time_s, 0.0)
        step = np.zeros((4, 2, 2))
        step[:, 0, 0] = 1.0
        step[:, 0, 1], step[:, 1, 1] = dt * _MOVES, _MOVES
        mean = (step @ self._mean[:, :, None])[:, :, 0]
        cov = step @ self._cov @ step.transpose(0, 2, 1)
        wander = _CENTRE_WANDER * self._side() ** 2
        cov[:2] += wander * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        cov[2:, 0, 0] += _SIZE_WANDER * dt
        return mean, cov


def _to_state(box_xyxy: Floats) -> F64:
    low, high = np.split(np.asarray(box_xyxy, dtype=np.float64), 2)
    return np.concatenate([(low + high) / 2, np.log(np.maximum(high - low, 1e-3))])


@dataclass(frozen=True, eq=False)
class Smoothed:
    """What is known of one face: weighted mean (L,), standard errors (L,), effective frames."""

    probs: F64
    std: F64
    frames: float


@dataclass
class ProbabilitySmoother(Resumable):
    """Keeps the running sums of one face; memory does not grow with time.

    ``smooth_s`` is the time constant in seconds; 0 takes each frame alone.

    >>> smoother = ProbabilitySmoother(1.0)
    >>> for frame in range(50):
    ...     known = smoother.add(frame / 25, np.array([0.8, 0.2]))
    >>> known.probs.round(3).tolist(), 2 < known.frames < 4
    ([0.8, 0.2], True)
    """

    smooth_s: float
    time_s: float = 0.0
    _weight: float = 0.0
    _near: float = 0.0
    _pairs: float = 0.0
    _sum: F64 | float = 0.0
    _squares: F64 | float = 0.0

    def add(self, time_s: float, probs: F64) -> Smoothed:
        """Takes in the probabilities (L,) of a frame at a time after the last one."""
        dt = max(time_s - self.time_s, 0.0)
        decay = math.exp(-dt / self.smooth_s) if self.smooth_s > 0 else 0.0
        # Sums over pairs follow from sums over the frames' likeness to the newest one.
        self._near *= decay * math.exp(-dt / CORRELATION_S)
        self._pairs = self._pairs * decay**2 + 2 * self._near + 1.0
        self._near += 1.0
        self._weight = self._weight * decay + 1.0
        self._sum = self._sum * decay + probs
        self._squares = self._squares * decay + probs**2
        self.time_s = time_s
        mean = self._sum / self._weight
        r = min(self._pairs / self._weight**2, 1.0)
        frames = 1.0 / r
        spread = np.maximum(self._squares / self._weight - mean**2, 0.0)
        prior = _PRIOR_SHARE * np.clip(mean * (1 - mean), 0.0, None)
        variance = (_PRIOR_FRAMES * prior + frames * spread) / (_PRIOR_FRAMES + frames - 1)
        return Smoothed(mean, np.sqrt(variance * r), frames)
