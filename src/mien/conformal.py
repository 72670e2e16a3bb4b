"""Prediction sets: every label that is still plausible for a face.

The true label is in the set for a stated share of faces: split conformal prediction (Vovk et al.
2005), with a threshold for each label (Romano et al. 2020 call it class-conditional; the score is
the label's own probability, as in Sadinle et al. 2019). The promise holds for faces like those that
the thresholds were fitted on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.config import Saved
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.arrays import F64, Bools, Floats, Ints

__all__ = ["COVERAGE", "MIN_FACES", "ConformalThresholds", "fit_conformal"]

COVERAGE = 0.9
#: Faces from which a label gets a threshold of its own; rarer ones take that of all faces.
MIN_FACES = 50


@dataclass(frozen=True)
class ConformalThresholds(Saved):
    """Thresholds of a model's prediction sets; stored in its ``config.json``.

    Args:
        coverage: Share of faces whose true label the prediction set is to hold, 0..1.
        thresholds: For each label of the model: the smallest probability that keeps it in the set.
        faces: How many faces the thresholds were fitted on.

    Raises:
        ConfigError: If a number is out of range.

    >>> fitted = ConformalThresholds(coverage=0.9, thresholds=(0.3, 0.4), faces=100)
    >>> fitted.prediction_sets(np.array([[0.35, 0.65], [0.9, 0.1]])).tolist()
    [[True, True], [True, False]]
    """

    _what = "conformal"

    coverage: float
    thresholds: tuple[float, ...]
    faces: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", tuple(float(value) for value in self.thresholds))
        if not all(0 <= value <= 1 for value in self.thresholds):
            raise ConfigError(f"conformal: every threshold must lie in 0..1; got {self}.")
        if not 0 < self.coverage < 1 or self.faces < 0:
            raise ConfigError(f"conformal: coverage must lie between 0 and 1; got {self}.")

    def prediction_sets(self, probs: Floats) -> Bools:
        """Returns bool (N, K): which labels are in the set of each face, given its probabilities.

        Raises:
            ConfigError: If ``probs`` is not (N, K) for the K thresholds.
        """
        if probs.shape[1] != len(self.thresholds):
            raise ConfigError(
                f"the model has {probs.shape[1]} labels, but {len(self.thresholds)} thresholds."
            )
        return np.asarray(probs >= np.array(self.thresholds))


def fit_conformal(
    probs: Floats, class_ids: Ints, *, coverage: float = COVERAGE
) -> ConformalThresholds:
    """Fits thresholds on labelled faces that the model was not trained on.

    Args:
        probs: (N, K), calibrated.
        class_ids: (N,), the true labels.
        coverage: Share of the faces of each label whose set is to hold it.

    Raises:
        ConfigError: If there are no faces, or ``coverage`` is out of range.
    """
    if not len(class_ids):
        raise ConfigError("no labelled faces to fit conformal thresholds on.")
    true = probs[np.arange(len(class_ids)), class_ids].astype(np.float64)
    common = _lower_quantile(true, coverage)
    thresholds = []
    for label in range(probs.shape[1]):
        own = true[class_ids == label]
        thresholds.append(_lower_quantile(own, coverage) if len(own) >= MIN_FACES else common)
    # Rounded down: the face that a threshold was taken from stays inside.
    floors = tuple(math.floor(value * 1e6) / 1e6 for value in thresholds)
    return ConformalThresholds(coverage=coverage, thresholds=floors, faces=len(class_ids))


def _lower_quantile(values: F64, coverage: float) -> float:
    """Returns the value that a new one reaches with this chance; 0 where too few say so."""
    rank = math.floor((1 - coverage) * (len(values) + 1) + 1e-9)
    return float(np.partition(values, rank - 1)[rank - 1]) if rank else 0.0
