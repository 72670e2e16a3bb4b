"""The faces that a detector found in one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ConfigError
from mien.images.pixels import check_rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.arrays import F32

#: The five points of a face, in order; right and left are the person's own.
LANDMARK_NAMES = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")


@dataclass(frozen=True, eq=False)
class Detections:
    """Faces found in one picture, the largest box first (then the higher score).

    The largest face is most likely whom the picture is about. Whatever order the arrays are
    given in, they are stored in that order, and read-only.

    Args:
        boxes_xyxy: float32 (N, 4), corners x1, y1, x2, y2 in pixels; may reach past the border.
        scores: float32 (N,), how sure the detector is that this is a face, 0..1.
        landmarks: float32 (N, 5, 2), points (x, y) in pixels in the order of
            ``LANDMARK_NAMES``, or ``None`` where the detector has none.
        warnings: What the search left out, in sentences.

    Raises:
        ConfigError: If shapes do not agree, a value is not finite, a box is empty, or a score is
            outside 0..1.

    >>> found = Detections([[0, 0, 9, 9], [5, 5, 30, 40]], [0.9, 0.8])
    >>> len(found), found.boxes_xyxy[0].tolist()
    (2, [5.0, 5.0, 30.0, 40.0])
    >>> len(found.keep(min_face=20))
    1
    """

    boxes_xyxy: F32
    scores: F32
    landmarks: F32 | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        boxes = _floats("boxes_xyxy", self.boxes_xyxy, (-1, 4))
        scores = _floats("scores", self.scores, (len(boxes),))
        points = None
        if self.landmarks is not None:
            points = _floats("landmarks", self.landmarks, (len(boxes), 5, 2))
        sides = boxes[:, 2:] - boxes[:, :2]
        if (sides <= 0).any():
            raise ConfigError(
                f"a face box needs x1 < x2 and y1 < y2; got {boxes[(sides <= 0).any(axis=1)][0]}."
            )
        if ((scores < 0) | (scores > 1)).any():
            raise ConfigError(f"scores must lie in 0..1; got {scores.min()} to {scores.max()}.")
        order = np.lexsort((-scores, -sides.prod(axis=1)))
        for name, values in (("boxes_xyxy", boxes), ("scores", scores), ("landmarks", points)):
            if values is not None:
                values = values[order]  # noqa: PLW2901 - a copy, so that the caller's stays writable
                values.flags.writeable = False
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    @classmethod
    def empty(cls) -> Detections:
        """Returns the detections of a picture without a face."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    @classmethod
    def from_supervision(cls, detections: Any) -> Detections:
        """Takes the boxes of a ``supervision.Detections``, for a detector that gives those.

        Its ``confidence`` becomes the scores; without one they are 1.

        Raises:
            ConfigError: If a box is empty or not finite.
        """
        scores = detections.confidence
        if scores is None:
            scores = np.ones(len(detections), np.float32)
        return cls(detections.xyxy, scores)

    def keep(self, *, min_face: float = 0.0, max_faces: int | None = None) -> Detections:
        """Drops small faces, then all but the largest.

        Args:
            min_face: Smallest longer side of a box, in pixels.
            max_faces: Most faces to keep; ``None`` keeps all.

        Raises:
            ConfigError: If a limit is below 0 or not a number.
        """
        check_search(min_face, max_faces)
        sides = (self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]).max(axis=1, initial=0.0)
        kept = np.flatnonzero(sides >= min_face)[:max_faces]
        if len(kept) == len(self):
            return self
        points = None if self.landmarks is None else self.landmarks[kept]
        return Detections(self.boxes_xyxy[kept], self.scores[kept], points, self.warnings)


def _floats(name: str, values: object, shape: tuple[int, ...]) -> F32:
    try:
        array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"is not an array of numbers ({error})", subject=name) from error
    if array.size == 0 and shape[0] <= 0:
        array = array.reshape(0, *shape[1:])
    wanted = (array.shape[:1] if shape[0] < 0 else shape[:1]) + shape[1:]
    if array.shape != wanted:
        expected = "(N, 4)" if shape[0] < 0 else str(shape)
        raise ConfigError(f"must have shape {expected}; got {array.shape}", subject=name)
    if not np.isfinite(array).all():
        raise ConfigError("has values that are not finite", subject=name)
    return array


def check_search(min_face: float, max_faces: int | None) -> None:
    """Checks the limits that every detector takes."""
    if not min_face >= 0:
        raise ConfigError(f"min_face must be 0 or more pixels; got {min_face!r}.")
    if max_faces is not None and (not isinstance(max_faces, int) or max_faces < 0):
        raise ConfigError(f"max_faces must be a whole number or None; got {max_faces!r}.")


def check_input(image_rgb: NDArray[Any], min_face: float, max_faces: int | None) -> tuple[int, int]:
    """Checks what a detector is given and returns the image's height and width."""
    check_search(min_face, max_faces)
    return check_rgb(image_rgb, "a detector takes")
