"""What was learned about the members of an ensemble: how their answers become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.metrics import log_softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("equal", "weighted", "greedy", "stacking")
#: To stacking, log-probabilities below this count as this: one sure mistake shall not tip the fit.
FLOOR = -12.0


@dataclass(frozen=True, eq=False)
class Mixture:
    """What was learned about M members over K classes.

    Args:
        method: One of :data:`METHODS`.
        weights: float64 (M,), sum to 1; of stacking the members' shares of the coefficients.
        temperature: The logits are divided by it before softmax.
        coefficients: float64 (K, M * K) on log-probabilities, of stacking only.
        intercept: float64 (K,), of stacking only.
    """

    method: str
    weights: NDArray[np.float64]
    temperature: float = 1.0
    coefficients: NDArray[np.float64] | None = None
    intercept: NDArray[np.float64] | None = None

    def logits(self, log_probs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Returns logits (N, K) of the members' log-probabilities (N, M, K).

        A vote's logits are the logs of the mean probabilities, so that their softmax is the mean.

        >>> halves = np.log([[[0.5, 0.5], [0.9, 0.1]]])
        >>> np.exp(Mixture("equal", np.array([0.5, 0.5])).logits(halves)).round(3).tolist()
        [[0.7, 0.3]]
        """
        values = np.asarray(log_probs, dtype=np.float64)
        if self.coefficients is not None and self.intercept is not None:
            flat = np.maximum(values, FLOOR).reshape(len(values), -1)
            return flat @ self.coefficients.T + self.intercept
        used = self.weights > 0
        mixed: NDArray[np.float64] = np.logaddexp.reduce(
            values[:, used] + np.log(self.weights[used])[:, None], axis=1
        )
        return mixed

    def probs(self, log_probs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Returns the ensemble's probabilities (N, K)."""
        return np.exp(log_softmax(self.logits(log_probs), temperature=self.temperature))
