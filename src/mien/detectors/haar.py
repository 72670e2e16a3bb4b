"""``haar``: OpenCV's frontal face cascade (extra ``haar``): frontal faces only, and slow."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.detectors.detections import Detections
from mien.detectors.framing import Framing
from mien.detectors.protocol import CheckedDetector
from mien.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from mien.arrays import U8

_CASCADE = "haarcascade_frontalface_alt2.xml"
_INSTALL = 'Type: pip install "mien[haar]"; or choose another detector.'
#: Pictures are shrunk to this longer side: the cascade's time grows with the pixels.
_MAX_SIDE = 640
_SCALE_STEP = 1.1
_MIN_NEIGHBORS = 3
#: What the last of the cascade's 20 stages asks for; the weight of a face lies above.
_STAGE_THRESHOLD = 53.7556
#: The window that the cascade was trained on, in pixels.
_WINDOW = 20


class HaarDetector(CheckedDetector):
    """Viola and Jones' cascade of Haar features for frontal faces, as shipped with OpenCV 4.

    The score is ``m / (m + 1)`` of the last stage's margin ``m`` over its threshold, at least 0: it
    orders faces, but is no probability. OpenCV 5 has neither cascade reader nor data file.
    """

    name = "haar"
    #: Measured by benchmarks/framing.py; see docs/framing.md.
    framing = Framing(scale=1.02, shift_y=0.005)

    def __init__(self) -> None:
        self._path = _find_cascade()
        self._local = threading.local()
        self._cascade()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def _cascade(self) -> Any:
        """Returns this thread's own cascade: OpenCV's is not safe to share."""
        if not hasattr(self._local, "cascade"):
            import cv2

            self._local.cascade = cv2.CascadeClassifier(str(self._path))
            if self._local.cascade.empty():
                raise ModelError(f"is no cascade that OpenCV reads. {_INSTALL}", subject=self._path)
        return self._local.cascade

    def find(self, image_rgb: U8, min_face: float) -> Detections:
        """Finds frontal faces in the picture, shrunk to 640 pixels."""
        height, width = image_rgb.shape[:2]
        gray = Image.fromarray(image_rgb).convert("L")
        scale = min(1.0, _MAX_SIDE / max(height, width))
        if scale < 1.0:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            gray = gray.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        smallest = max(_WINDOW, int(min_face * scale))
        if min(gray.size) < smallest:
            return Detections.empty()
        boxes_xywh, _, weights = self._cascade().detectMultiScale3(
            np.asarray(gray),
            scaleFactor=_SCALE_STEP,
            minNeighbors=_MIN_NEIGHBORS,
            minSize=(smallest, smallest),
            outputRejectLevels=True,
        )
        if len(boxes_xywh) == 0:
            return Detections.empty()
        boxes = np.asarray(boxes_xywh, np.float32)
        boxes[:, 2:] += boxes[:, :2]
        boxes *= np.array([width / gray.width, height / gray.height] * 2, np.float32)
        margin = np.clip(np.ravel(weights) - _STAGE_THRESHOLD, 0.0, None).astype(np.float32)
        return Detections(boxes, margin / (margin + 1.0))


def _find_cascade() -> Path:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("detector 'haar'", "haar", "cv2") from error
    if not hasattr(cv2, "CascadeClassifier"):
        raise ModelError(f"OpenCV {cv2.__version__} has no cascades; 'haar' needs 4. {_INSTALL}")
    folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
    path = Path(folder) / _CASCADE
    if not folder or not path.is_file():
        raise ModelError(f"OpenCV {cv2.__version__} came without {_CASCADE}. {_INSTALL}")
    return path
