"""Who is who: rows and columns paired so that the sum of their costs is smallest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from numpy.typing import NDArray


def assign(cost: NDArray[np.floating[Any]], *, limit: float = np.inf) -> list[tuple[int, int]]:
    """Pairs rows with columns at the smallest total cost (the assignment problem).

    Solved by scipy's ``linear_sum_assignment``; as many pairs as the shorter side has, less those
    above the limit. A pair above the limit costs the limit, so that it never drives a better pair
    apart.

    Args:
        cost: (N, M), finite, or infinite where a pair is impossible.
        limit: Cost above which a pair is dropped.

    Returns:
        Pairs (row, column), by row.

    >>> assign(np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0]]))
    [(0, 1), (1, 0)]
    """
    costs = np.asarray(cost, dtype=np.float64)
    if costs.size == 0:
        return []
    finite = costs[np.isfinite(costs)]
    cap = min(limit, float(np.abs(finite).max(initial=0.0)) + 1.0)
    pairs = zip(*linear_sum_assignment(np.minimum(costs, cap)), strict=True)
    return [(int(row), int(column)) for row, column in pairs if costs[row, column] <= limit]
