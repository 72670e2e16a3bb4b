"""Two parts of the validation faces: one chooses the epoch, the other calibrates the network.

A temperature or a prediction set that is fitted on the faces that chose the epoch is too sure of
itself, since these faces are right a little more often than new ones. So half of the faces take
part in the training's choices (best epoch, early stopping, a plateau's rate, the trials of a
study), and the other half is seen only when all is chosen. Both halves together are scored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.split import stratified_group_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data import Manifest


def deal_valid(valid: Manifest, seed: int) -> NDArray[np.bool_]:
    """Deals the validation faces into two halves, classes balanced and groups kept whole.

    Args:
        valid: N labelled faces.
        seed: Seed of the deal.

    Returns:
        Bool (N,): True for the faces that choose the epoch. All are True where the faces cannot
        be parted, since they are of one group: then they calibrate as well.
    """
    shares = {"select": 0.5, "calibrate": 0.5}
    selects = stratified_group_split(valid.class_ids, valid.groups, shares, seed) == "select"
    return selects if selects.any() and not selects.all() else np.ones(len(valid), np.bool_)


def calibration_part(selects: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns which validation faces calibrate: those that did not choose, or all.

    >>> calibration_part(np.array([True, False])), calibration_part(np.array([True, True]))
    (array([False,  True]), array([ True,  True]))
    """
    return np.asarray(~selects if not selects.all() else selects)
