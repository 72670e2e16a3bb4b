"""Where a face is and how it moves: a Kalman filter per box, made for uneven frame times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

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


class BoxMotion:
    """Tracks one box with a constant-velocity Kalman filter (Kalman, 1960) for each coordinate.

    The state is centre x, centre y, log width, log height, each with its speed; centres move
    with constant velocity, sizes wander. Noise scales with the face, so that a near and a far
    face are treated alike. Time may pass in any steps.

    Args:
        box_xyxy: (4,), pixels.
        time_s: When it was seen.

    >>> motion = BoxMotion(np.array([0.0, 0.0, 10.0, 10.0]), 0.0)
    >>> for step in range(1, 20):
    ...     motion.update(np.array([0.0, 0.0, 10.0, 10.0]) + [5 * step, 0, 5 * step, 0], step / 10)
    >>> motion.box_at(2.1).astype(int).tolist()
    [105, 0, 115, 10]
    """

    def __init__(self, box_xyxy: NDArray[np.floating[Any]], time_s: float) -> None:
        self.time_s = time_s
        self._mean = np.zeros((4, 2))
        self._mean[:, 0] = _to_state(box_xyxy)
        side = self._side()
        self._cov = np.zeros((4, 2, 2))
        self._cov[:, 0, 0] = self._noise(side)
        self._cov[:2, 1, 1] = (_FIRST_SPEED * side) ** 2

    def box_at(self, time_s: float) -> NDArray[np.float64]:
        """Returns where the box is at a time, float64 (4,), without changing anything."""
        return _to_box(self._predict(time_s)[0][:, 0])

    def update(self, box_xyxy: NDArray[np.floating[Any]], time_s: float) -> None:
        """Takes in a box that was seen at a time not before the last one."""
        mean, cov = self._predict(time_s)
        innovation = _to_state(box_xyxy) - mean[:, 0]
        gain = cov[:, :, 0] / (cov[:, 0, 0] + self._noise(self._side()))[:, None]
        self._mean = mean + gain * innovation[:, None]
        self._cov = cov - gain[:, :, None] * cov[:, None, 0, :]
        self.time_s = time_s

    def to_state(self) -> dict[str, Any]:
        """Returns plain JSON types; :meth:`from_state` gives back an equal filter."""
        return {"time_s": self.time_s, "mean": self._mean.tolist(), "cov": self._cov.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> BoxMotion:
        """Reads :meth:`to_state`'s form."""
        motion = cls.__new__(cls)
        motion.time_s = float(state["time_s"])
        motion._mean = np.array(state["mean"], dtype=np.float64)
        motion._cov = np.array(state["cov"], dtype=np.float64)
        return motion

    def _side(self) -> float:
        return float(np.exp(self._mean[2:, 0].mean()))

    def _noise(self, side: float) -> NDArray[np.float64]:
        centre, size = (_CENTRE_NOISE * side) ** 2, _SIZE_NOISE**2
        return np.array([centre, centre, size, size])

    def _predict(self, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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


def _to_state(box_xyxy: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    box = np.asarray(box_xyxy, dtype=np.float64)
    low, high = box[:2], box[2:]
    return np.concatenate([(low + high) / 2, np.log(np.maximum(high - low, 1e-3))])


def _to_box(state: NDArray[np.float64]) -> NDArray[np.float64]:
    half = np.exp(state[2:]) / 2
    return np.concatenate([state[:2] - half, state[:2] + half])
