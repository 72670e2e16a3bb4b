"""Where the faces are: one protocol, several detectors, one way from a box to a face crop.

``get_detector`` makes a detector from a word: ``"mien"`` (the network in the package),
``"mien:fast"`` (at a small size), ``"mien:full"`` (every pixel of a very large photo),
``"mien:0.3"`` (with another lowest score),
``"yunet"`` or ``"yunet:PATH"`` (a network to download), ``"haar"`` (OpenCV's cascade, an extra),
``"none"`` (the picture is one face already).
``register_detector`` adds your own. A detector says how its boxes relate to the faces that
mien's models were trained on (:class:`Framing`); :func:`crop_box` applies that.
"""

from __future__ import annotations

from mien.detectors.boxes import nms
from mien.detectors.detections import Detections
from mien.detectors.framing import Framing, crop_box
from mien.detectors.protocol import MIN_FACE, Detector
from mien.detectors.registry import detector_names, get_detector, register_detector

#: The detector used where none is named: it works offline right after the installation.
DEFAULT_DETECTOR = "mien"

__all__ = [
    "DEFAULT_DETECTOR",
    "MIN_FACE",
    "Detections",
    "Detector",
    "Framing",
    "crop_box",
    "detector_names",
    "get_detector",
    "nms",
    "register_detector",
]
