"""Folds that keep groups together, and what a mixture says of faces it was not fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.split import stratified_group_split
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def grouped_folds(
    class_ids: NDArray[np.int64],
    groups: NDArray[np.str_] | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Deals N faces into folds of about equal size and classes; a group lies in one fold.

    Args:
        class_ids: (N,) classes.
        groups: (N,) names, or None where every face is a group of its own.
        folds: Their number, 2 or more.
        seed: Seed of the order in which groups are dealt.

    Returns:
        int64 (N,) in 0..folds-1.

    Raises:
        ConfigError: If there are fewer than two folds.
        DataError: If there are fewer groups than folds.

    >>> np.bincount(grouped_folds(np.array([0, 1] * 6), folds=3)).tolist()
    [4, 4, 4]
    """
    if folds < 2:
        raise ConfigError(f"cross-validation needs 2 folds or more; got {folds}.")
    count = len(class_ids) if groups is None else len(np.unique(groups))
    if count < folds:
        raise DataError(
            f"group(s) of faces cannot be dealt into {folds} folds: give fewer folds", subject=count
        )
    names = [f"{fold:03}" for fold in range(folds)]
    dealt = stratified_group_split(class_ids, groups, dict.fromkeys(names, 1.0 / folds), seed)
    found: NDArray[np.int64] = dealt.astype(np.int64)
    return found
