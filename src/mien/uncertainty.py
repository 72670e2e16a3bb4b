"""When an answer is to be doubted: prediction sets, and faces unlike those that were measured.

A prediction set holds every label that is still plausible, so that the true one is among them for a
stated share of faces: split conformal prediction (Vovk et al. 2005), with a threshold for each
label (Romano et al. 2020 call it class-conditional; the score is the label's own probability, as in
Sadinle et al. 2019). The promise holds for faces like those that the thresholds were set on.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

COVERAGE = 0.9
#: Faces from which a label gets a threshold of its own; rarer ones take that of all faces.
FEWEST = 50
#: Why an answer is doubted, in the order in which they are said.
DOUBTS = ("ambiguous", "small", "dark", "flat", "blurred")
_LEAST_SIDE = 24.0
#: Share of the faces measured that each bound on quality leaves outside.
_OUTSIDE = 0.005


@dataclass(frozen=True)
class Uncertainty:
    """What a model knows of its own limits; stored in its ``config.json``.

    Args:
        coverage: Share of faces whose true label the prediction set is to hold, 0..1.
        thresholds: By label of the model's schema: the least probability that keeps it in the set.
        faces: How many faces the thresholds were set on.
        least_side: Smallest longer side of a detected face, in pixels of the picture.
        least_light: Smallest mean of a crop's gray levels, 0..255.
        least_contrast: Smallest standard deviation of a crop's gray levels.
        least_sharpness: Smallest sharpness, see :func:`face_quality`.

    Raises:
        ConfigError: If a number is out of range.

    >>> limits = Uncertainty(coverage=0.9, thresholds=(0.3, 0.4), faces=100)
    >>> limits.prediction_sets(np.array([[0.35, 0.65], [0.9, 0.1]])).tolist()
    [[True, True], [True, False]]
    """

    coverage: float
    thresholds: tuple[float, ...]
    faces: int
    least_side: float = _LEAST_SIDE
    least_light: float = 0.0
    least_contrast: float = 0.0
    least_sharpness: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", tuple(float(value) for value in self.thresholds))
        numbers = [getattr(self, item.name) for item in fields(self) if item.name != "thresholds"]
        if not all(math.isfinite(value) and value >= 0 for value in (*numbers, *self.thresholds)):
            raise ConfigError(f"uncertainty: every number must be finite and at least 0: {self}.")
        if not 0 < self.coverage < 1 or max(self.thresholds, default=0.0) > 1:
            raise ConfigError(
                f"uncertainty: coverage lies between 0 and 1, thresholds from 0 to 1: {self}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types; :meth:`from_dict` reads them back."""
        return {**asdict(self), "thresholds": list(self.thresholds)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Uncertainty:
        """Builds it from :meth:`to_dict`'s form.

        Raises:
            ConfigError: If a key is unknown or missing, or a value impossible.
        """
        try:
            return cls(**dict(value))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"uncertainty {value!r} is not usable: {error}.") from error

    def prediction_sets(self, probs: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """Returns bool (N, K): which labels are in the set of each face, by its probabilities."""
        if probs.shape[1] != len(self.thresholds):
            raise ConfigError(
                f"the model has {probs.shape[1]} labels, its thresholds are {len(self.thresholds)}."
            )
        return np.asarray(probs >= np.array(self.thresholds))

    def doubts(
        self,
        sets: NDArray[np.bool_],
        crops: NDArray[np.uint8],
        sides: NDArray[np.floating[Any]],
    ) -> list[tuple[str, ...]]:
        """Says of each face why its answer is to be doubted.

        Args:
            sets: bool (N, K), the prediction sets.
            crops: uint8 (N, S, S, C), what the network saw.
            sides: (N,), longer sides of the detected boxes in pixels; infinite where nothing was
                detected, because the picture is the face.

        Returns:
            Words of :data:`DOUBTS`; none where nothing speaks against the answer.
        """
        light, contrast, sharpness = face_quality(crops)
        found = np.stack(
            [
                sets.sum(axis=1) != 1,
                sides < self.least_side,
                light < self.least_light,
                contrast < self.least_contrast,
                sharpness < self.least_sharpness,
            ],
            axis=1,
        )
        return [
            tuple(word for word, holds in zip(DOUBTS, row, strict=True) if holds) for row in found
        ]


#: How a doubt is said to people; what is ambiguous names the other labels instead.
SAID = {
    "small": "the face is small",
    "dark": "the face is dark",
    "flat": "the face has hardly any contrast",
    "blurred": "the face is blurred",
}


def caveat(emotion: str, plausible: Sequence[str] | None, doubts: Sequence[str]) -> str:
    """Returns what speaks against an answer, for people; an empty text where nothing does.

    >>> caveat("neutral", ["neutral", "sadness"], ["ambiguous", "small"])
    'uncertain: also plausible is sadness; the face is small'
    """
    said = []
    for word in doubts:
        if word != "ambiguous":
            said.append(SAID.get(word, word))
            continue
        others = [label for label in plausible or () if label != emotion]
        verb = "is" if len(others) == 1 else "are"
        said.append(f"also plausible {verb} {', '.join(others)}" if others else "no label is clear")
    return f"uncertain: {'; '.join(said)}" if said else ""


def face_quality(
    crops: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Measures light, contrast and sharpness of crops of one size.

    Args:
        crops: uint8 (N, S, S, C).

    Returns:
        Three arrays (N,): mean and standard deviation of the gray levels (light and contrast), and
        sharpness: the standard deviation of their Laplacian over the contrast plus 10, which keeps
        the noise of a flat face from counting as detail. Faces with little contrast are little
        sharp, too.
    """
    gray = crops.mean(axis=3, dtype=np.float64)
    contrast = gray.std(axis=(1, 2))
    middle = gray[:, 1:-1, 1:-1]
    laplacian = (
        4 * middle - gray[:, :-2, 1:-1] - gray[:, 2:, 1:-1] - gray[:, 1:-1, :-2] - gray[:, 1:-1, 2:]
    )
    return gray.mean(axis=(1, 2)), contrast, laplacian.std(axis=(1, 2)) / (contrast + 10)


def set_limits(
    probs: NDArray[np.floating[Any]],
    class_ids: NDArray[np.integer[Any]],
    crops: NDArray[np.uint8],
    *,
    coverage: float = COVERAGE,
) -> Uncertainty:
    """Sets a model's thresholds on labelled faces that it was not trained on.

    Args:
        probs: (N, K), calibrated.
        class_ids: (N,), the true labels.
        crops: uint8 (N, S, S, C).
        coverage: Share of the faces of each label whose set is to hold it.

    Raises:
        ConfigError: If there are no faces, or ``coverage`` is none.
    """
    if not len(class_ids):
        raise ConfigError("no labelled faces to set thresholds on.")
    true = probs[np.arange(len(class_ids)), class_ids].astype(np.float64)
    common = _lower_quantile(true, coverage)
    thresholds = []
    for label in range(probs.shape[1]):
        own = true[class_ids == label]
        thresholds.append(_lower_quantile(own, coverage) if len(own) >= FEWEST else common)
    least = [float(np.quantile(values, _OUTSIDE)) for values in face_quality(crops)]
    return Uncertainty(
        coverage=coverage,
        # Rounded down: the face that a threshold was taken from stays inside.
        thresholds=tuple(math.floor(value * 1e6) / 1e6 for value in thresholds),
        faces=len(class_ids),
        least_light=round(least[0], 2),
        least_contrast=round(least[1], 2),
        least_sharpness=round(least[2], 4),
    )


def _lower_quantile(values: NDArray[np.float64], coverage: float) -> float:
    """Returns the value that a new one is at least with this chance; 0 where too few say so."""
    rank = math.floor((1 - coverage) * (len(values) + 1) + 1e-9)
    return float(np.partition(values, rank - 1)[rank - 1]) if rank else 0.0
