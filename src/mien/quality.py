"""Quality of a face: why an answer about it is uncertain, in words that results carry."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.config import Saved
from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.arrays import F64, U8, Bools, Floats

__all__ = [
    "DESCRIPTIONS",
    "QUALITY_FLAGS",
    "QualityBounds",
    "face_quality",
    "fit_quality",
    "warning",
]

#: Why an answer is uncertain, in the order in which the flags are listed.
QUALITY_FLAGS = ("ambiguous", "small", "dark", "flat", "blurred")
#: The words for people; ``ambiguous`` names the other plausible labels instead.
DESCRIPTIONS = {
    "small": "the face is small",
    "dark": "the face is dark",
    "flat": "the face has hardly any contrast",
    "blurred": "the face is blurred",
}
_MIN_SIDE = 24.0
#: Share of the measured faces that each bound leaves outside.
_OUTSIDE = 0.005


@dataclass(frozen=True)
class QualityBounds(Saved):
    """What a face must reach to be like those that a model was measured on.

    Args:
        min_side: Smallest longer side of a detected face, in pixels of the picture.
        min_light: Smallest mean of a crop's gray levels, 0..255.
        min_contrast: Smallest standard deviation of a crop's gray levels.
        min_sharpness: Smallest sharpness, see :func:`face_quality`.

    Raises:
        ConfigError: If a number is negative or not finite.

    >>> QualityBounds(min_light=40.0).min_side
    24.0
    """

    _what = "quality"

    min_side: float = _MIN_SIDE
    min_light: float = 0.0
    min_contrast: float = 0.0
    min_sharpness: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0 for value in astuple(self)):
            raise ConfigError(f"quality: every number must be finite and at least 0; got {self}.")

    def assess(self, crops: U8, sides: Floats, *, ambiguous: Bools) -> list[tuple[str, ...]]:
        """Returns the quality flags of each face.

        Args:
            crops: uint8 (N, S, S, C), what the network saw.
            sides: (N,), longer sides of the detected boxes in pixels; infinite where nothing was
                detected, because the picture is the face.
            ambiguous: bool (N,): the prediction set is not exactly the answer.

        Returns:
            Words of :data:`QUALITY_FLAGS`; an empty tuple where nothing speaks against the answer.
        """
        light, contrast, sharpness = face_quality(crops)
        measured = zip((sides, light, contrast, sharpness), astuple(self), strict=True)
        found = np.stack([ambiguous, *(values < bound for values, bound in measured)], axis=1)
        names = np.array(QUALITY_FLAGS)
        return [tuple(names[row].tolist()) for row in found]


def fit_quality(crops: U8) -> QualityBounds:
    """Fits the bounds on light, contrast and sharpness to faces: uint8 (N, S, S, C).

    Raises:
        ConfigError: If there are no faces.
    """
    if not len(crops):
        raise ConfigError("no faces to fit quality bounds on.")
    light, contrast, sharpness = (
        round(float(np.quantile(values, _OUTSIDE)), digits)
        for values, digits in zip(face_quality(crops), (2, 2, 4), strict=True)
    )
    return QualityBounds(min_light=light, min_contrast=contrast, min_sharpness=sharpness)


def warning(emotion: str, prediction_set: Sequence[str] | None, flags: Sequence[str]) -> str:
    """Returns what speaks against an answer, for people; an empty text where nothing does.

    >>> warning("neutral", ["neutral", "sadness"], ["ambiguous", "small"])
    'uncertain: sadness is also plausible; the face is small'
    """
    reasons = []
    for flag in flags:
        if flag != "ambiguous":
            reasons.append(DESCRIPTIONS.get(flag, flag))
            continue
        others = [label for label in prediction_set or () if label != emotion]
        verb = "is" if len(others) == 1 else "are"
        reasons.append(f"{', '.join(others)} {verb} also plausible" if others else "no clear label")
    return f"uncertain: {'; '.join(reasons)}" if reasons else ""


def face_quality(crops: U8) -> tuple[F64, F64, F64]:
    """Measures light, contrast and sharpness of crops of one size.

    Args:
        crops: uint8 (N, S, S, C).

    Returns:
        Three arrays (N,): mean and standard deviation of the gray levels (light and contrast), and
        sharpness: the standard deviation of their Laplacian over the contrast plus 10, which keeps
        the noise of a flat face from counting as detail. Faces with little contrast are not very
        sharp, either.
    """
    gray = crops.mean(axis=3, dtype=np.float64)
    contrast = gray.std(axis=(1, 2))
    middle = gray[:, 1:-1, 1:-1]
    laplacian = (
        4 * middle - gray[:, :-2, 1:-1] - gray[:, 2:, 1:-1] - gray[:, 1:-1, :-2] - gray[:, 1:-1, 2:]
    )
    return gray.mean(axis=(1, 2)), contrast, laplacian.std(axis=(1, 2)) / (contrast + 10)
