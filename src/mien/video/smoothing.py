"""Probabilities of one face over time: their recent mean, and how far to trust it.

The model. The frames of the last moments show one expression; each frame's probabilities are
that expression's plus an error. The estimate is the mean of the frames' probabilities with
weights ``w_i = exp(-(t - t_i) / smooth_s)``. Errors of neighbouring frames are alike (same light,
same angle): their correlation is taken as ``exp(-|t_i - t_j| / CORRELATION_S)``. So the mean's
variance is not ``variance / frames`` but ``variance * r``, with

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

    from numpy.typing import NDArray

#: Seconds over which the errors of two frames stay alike.
CORRELATION_S = 0.4
_PRIOR_SHARE, _PRIOR_FRAMES = 0.1, 2.0


@dataclass(frozen=True, eq=False)
class Smoothed:
    """What is known of one face at one time.

    Args:
        probs: float64 (L,), the weighted mean.
        std: float64 (L,), standard error of each.
        frames: Effective number of frames behind them, at least 1.
    """

    probs: NDArray[np.float64]
    std: NDArray[np.float64]
    frames: float


@dataclass
class ProbabilitySmoother:
    """Keeps the running sums of one face; memory does not grow with time.

    Args:
        smooth_s: Time constant in seconds; 0 takes each frame alone.

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
    _sum: NDArray[np.float64] | float = 0.0
    _squares: NDArray[np.float64] | float = 0.0

    def add(self, time_s: float, probs: NDArray[np.float64]) -> Smoothed:
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

    def to_state(self) -> dict[str, Any]:
        """Returns plain JSON types for :meth:`restore`."""
        return {name: np.asarray(value).tolist() for name, value in vars(self).items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where :meth:`to_state` was called."""
        for name, value in state.items():
            setattr(self, name, np.array(value) if isinstance(value, list) else float(value))
