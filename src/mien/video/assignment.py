"""Who is who: rows and columns paired so that the sum of their costs is smallest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def assign(cost: NDArray[np.floating[Any]], *, limit: float = np.inf) -> list[tuple[int, int]]:
    """Pairs rows with columns at the smallest total cost (the assignment problem).

    Shortest augmenting paths with potentials, as Jonker and Volgenant (1987) describe; as many
    pairs as the shorter side has, less those above the limit. A pair above the limit costs the
    limit, so that it never drives a better pair apart.

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
    if costs.shape[0] > costs.shape[1]:
        pairs = [(row, column) for column, row in _solve(np.minimum(costs, cap).T)]
    else:
        pairs = _solve(np.minimum(costs, cap))
    return sorted((row, column) for row, column in pairs if costs[row, column] <= limit)


def _solve(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Solves N <= M. Column M stands for "none yet"."""
    N, M = cost.shape
    row_price, column_price = np.zeros(N), np.zeros(M + 1)
    owner = np.full(M + 1, -1)
    for row in range(N):
        owner[M] = row
        column, came_from = M, np.full(M, M)
        least, done = np.full(M, np.inf), np.zeros(M + 1, bool)
        while owner[column] >= 0:
            done[column] = True
            left = ~done[:M]
            current = owner[column]
            reduced = cost[current] - row_price[current] - column_price[:M]
            better = left & (reduced < least)
            least[better], came_from[better] = reduced[better], column
            target = int(np.argmin(np.where(left, least, np.inf)))
            delta = least[target]
            row_price[owner[done]] += delta
            column_price[done] -= delta
            least[left] -= delta
            column = target
        while column != M:
            owner[column] = owner[came_from[column]]
            column = int(came_from[column])
    return [(int(owner[column]), column) for column in range(M) if owner[column] >= 0]
