"""What a face detector is: one method, and attributes with defaults."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from mien.detectors.detections import Detections, check_input
from mien.detectors.framing import Framing
from mien.errors import ConfigError, DetectorError, InputError, MienError
from mien.preprocess import whole_box

if TYPE_CHECKING:
    from mien.arrays import U8


#: Faces whose box is smaller than this, in pixels, tell little about an expression.
MIN_FACE = 20.0


class Detector(Protocol):
    """A face detector. Any number of threads may call ``detect`` of one detector.

    Inherit from it to get the defaults, or write any class with ``detect``:
    :func:`as_detector` gives it the rest::

        class MyDetector:
            name = "mine"

            def detect(self, image_rgb, *, min_face=20.0, max_faces=None):
                boxes_xyxy, scores = ...
                return Detections(boxes_xyxy, scores).keep(min_face=min_face, max_faces=max_faces)

    Attributes:
        name: Short name; it is reported with every result.
        framing: How its boxes relate to the framing that mien's models expect.
        min_score: Lowest score that it reports, 0..1; 0 where it has no such threshold.
        working_side: A large photo may be decoded at a reduced size, with this many pixels on its
            shorter side; None: the detector needs every pixel.
        whole_image: It searches nothing: each picture is one face.
    """

    name: str = "custom"
    framing: Framing = Framing()
    min_score: float = 0.0
    working_side: int | None = None
    whole_image: bool = False

    def detect(
        self, image_rgb: U8, *, min_face: float = MIN_FACE, max_faces: int | None = None
    ) -> Detections:
        """Finds the faces of one picture, the largest first.

        Args:
            image_rgb: uint8 (H, W, 3).
            min_face: Smallest face to report: the longer side of its box, in pixels.
            max_faces: How many faces to report at most, the largest; ``None`` reports all.

        Raises:
            InputError: If ``image_rgb`` is not such a picture.
        """
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the answers may: interrupted work is resumed only with the same one."""
        return self.name

    def single_threaded(self) -> Self:
        """Returns the same detector with one thread per call, for callers that run in parallel."""
        return self

    def with_min_score(self, min_score: float) -> Self:
        """Returns the same detector with another lowest score; itself where it has none."""
        if not self.min_score:
            return self
        other = copy.copy(self)
        other.min_score = min_score
        return other


class AnyDetector(Protocol):
    """What may be passed in as a detector: any class with ``detect``, see :class:`Detector`."""

    def detect(
        self, image_rgb: U8, *, min_face: float = ..., max_faces: int | None = ...
    ) -> Detections:
        """Finds the faces of one picture."""
        ...


class CheckedDetector(Detector):
    """A detector that only has to :meth:`find`; arguments are checked, and limits kept, here."""

    def detect(
        self, image_rgb: U8, *, min_face: float = MIN_FACE, max_faces: int | None = None
    ) -> Detections:
        """Finds faces; see :class:`mien.detectors.Detector`."""
        check_input(image_rgb, min_face, max_faces)
        least = 0.0 if self.whole_image else min_face
        return self.find(image_rgb, min_face).keep(min_face=least, max_faces=max_faces)

    def find(self, image_rgb: U8, min_face: float) -> Detections:
        """Finds faces in uint8 (H, W, 3); those smaller than ``min_face`` may be left out."""
        raise NotImplementedError


class WholeImage(CheckedDetector):
    """``none``: reports the largest centred square of the picture as one face with score 1.

    That is how training and evaluation cut pictures that are faces already. ``min_face`` does not
    apply: that there is a face was said by whoever chose this detector.

    >>> WholeImage().detect(np.zeros((48, 40, 3), np.uint8)).boxes_xyxy.tolist()
    [[0.0, 4.0, 40.0, 44.0]]
    """

    name = "none"
    whole_image = True

    def find(self, image_rgb: U8, min_face: float) -> Detections:  # noqa: ARG002
        """Returns one box, the centred square."""
        height, width = image_rgb.shape[:2]
        square = np.array([whole_box(width, height)], np.float32)
        return Detections(square, np.ones(1, np.float32))


class _Adapted(Detector):
    """A foreign object with ``detect``, completed by the defaults of :class:`Detector`."""

    def __init__(self, inner: object) -> None:
        self.inner = inner
        for name in ("name", "framing", "min_score", "working_side", "whole_image"):
            setattr(self, name, getattr(inner, name, getattr(Detector, name)))
        if not hasattr(inner, "name"):
            self.name = type(inner).__name__

    def detect(
        self, image_rgb: U8, *, min_face: float = MIN_FACE, max_faces: int | None = None
    ) -> Detections:
        """Calls the foreign detector."""
        return self.inner.detect(image_rgb, min_face=min_face, max_faces=max_faces)  # type: ignore[attr-defined,no-any-return]


def as_detector(given: object) -> Detector:
    """Returns a detector as it is, and any other object with ``detect`` with the defaults."""
    if Detector in type(given).__mro__:
        return given  # type: ignore[return-value]
    if callable(getattr(given, "detect", None)):
        return _Adapted(given)
    reason = f"a detector is a name, or an object with a method detect; got {given!r}"
    raise ConfigError(reason, hint="See mien.detectors.Detector.")


def run_detector(
    detector: Detector, image_rgb: U8, *, min_face: float, max_faces: int | None
) -> Detections:
    """Calls a detector; whatever fails inside it becomes a :class:`DetectorError`."""
    subject = f"detector {detector.name!r}"
    try:
        found = detector.detect(image_rgb, min_face=min_face, max_faces=max_faces)
    except InputError:
        raise
    except MienError as error:
        raise DetectorError(f"failed: {error}", subject=subject) from error
    except Exception as error:
        reason = f"failed with {type(error).__name__}: {error}"
        raise DetectorError(reason, subject=subject) from error
    if not isinstance(found, Detections):
        raise DetectorError(
            f"returned {type(found).__name__}", subject=subject, hint="Return Detections."
        )
    boxes, (height, width) = found.boxes_xyxy, image_rgb.shape[:2]
    if ((boxes[:, 2:] <= 0) | (boxes[:, :2] >= (width, height))).any():
        reason = f"returned a face outside the picture of {width}x{height} pixels"
        raise DetectorError(reason, subject=subject)
    return found
