"""``yunet``: the detector of OpenCV Zoo, a network of 75,000 weights, run by ONNX Runtime.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023. Outputs by stride 8, 16
and 32, one row for each cell of the grid: ``cls`` and ``obj`` (1), ``bbox`` (4: centre offset in
cells, logarithm of the size in cells), ``kps`` (10: five points, offsets in cells).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from mien.backends.session import Session
from mien.detectors.cells import MULTIPLE, STRIDES, decode_cells
from mien.detectors.detections import Detections
from mien.detectors.download import fetch
from mien.detectors.framing import Framing
from mien.detectors.protocol import CheckedDetector
from mien.detectors.scales import ScaleRules, search_warnings
from mien.detectors.search import Candidates, PyramidSearch
from mien.errors import ModelError

if TYPE_CHECKING:
    import os

    from mien.arrays import F32, U8

_FILE = "face_detection_yunet_2023mar.onnx"
_URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/"
    f"face_detection_yunet/{_FILE}"
)
_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
_BYTES = 232_589

_OUTPUTS = tuple(f"{kind}_{s}" for kind in ("cls", "obj", "bbox", "kps") for s in STRIDES)
#: Up to this longer side a photo is searched in one piece; the 2023mar build insists on it.
_WHOLE = 640
_RULES = ScaleRules(max_zoom=1.0, coarse_side=_WHOLE, step=0.4)
_MIN_SCORE = 0.7
_IOU = 0.3
#: Which of the numbers of a cell are places: the centre, and the points, but not the size.
_FROM_CORNER = [0, 1, *range(4, 14)]


def fetch_yunet() -> Path:
    """Returns the network's file, downloaded once (232,589 bytes, MIT licence)."""
    advice = (
        "Where there is no internet, download it elsewhere and pass the file: "
        "--detector yunet:PATH."
    )
    return fetch(_URL, sha256=_SHA256, size=_BYTES, name=_FILE, advice=advice)


class YuNetDetector(CheckedDetector):
    """Finds faces of any pose, with five landmarks each; the score is ``sqrt(cls * obj)``.

    A photo is searched at its own size, as by :class:`mien.detectors.mien.MienDetector`. ``path``
    is OpenCV Zoo's YuNet, 2023mar or newer, or its authors' larger one.
    """

    name = "yunet"
    #: Measured by benchmarks/framing.py; see docs/framing.md.
    framing = Framing(scale=1.06, shift_y=-0.03)

    def __init__(
        self, path: str | os.PathLike[str], *, threads: int = 0, min_score: float = _MIN_SCORE
    ) -> None:
        self.min_score = min_score
        self._network = network = _Network(_open(Path(path), threads))
        rules = _RULES if network.fixed is None else replace(_RULES, tile=min(network.fixed))
        self._search = PyramidSearch(network, rules, iou=_IOU)
        self.working_side = rules.working_side

    @property
    def fingerprint(self) -> str:
        """The file's name and size, and the threshold."""
        path = self._network.session.path
        return f"yunet {path.name} {path.stat().st_size} {self.min_score:g}"

    def single_threaded(self) -> Self:
        """Returns the same detector with one thread per call."""
        other = copy.copy(self)
        other._network = _Network(self._network.session.single_threaded)
        other._search = replace(self._search, network=other._network)
        return other

    def find(self, image_rgb: U8, min_face: float) -> Detections:
        """Finds faces; with a warning where the bound on the work left small ones out."""
        height, width = image_rgb.shape[:2]
        found = self._search.propose(image_rgb, self.min_score)
        return Detections(*found, search_warnings(width, height, self._search.rules, min_face))


@dataclass(frozen=True)
class _Network:
    """YuNet as a network that finds candidates in one input."""

    session: Session

    @property
    def fixed(self) -> tuple[int, int] | None:
        """Height and width that the network insists on, if it does."""
        height, width = self.session.inputs[0].shape[2:]
        return (height, width) if isinstance(height, int) else None

    def __call__(self, pixels: U8, min_score: float) -> Candidates:
        canvas = to_input(pixels[:, :, ::-1], self.fixed)
        outputs = self.session.run(list(_OUTPUTS), {self.session.inputs[0].name: canvas})
        grids = dict(zip(_OUTPUTS, outputs, strict=True))
        return decode_outputs(grids, canvas.shape[3], min_score=min_score)


def to_input(pixels: U8, size: tuple[int, int] | None = None) -> F32:
    """Pads uint8 (H, W, 3) right and below with black, to a size or a multiple of 32.

    Returns:
        float32 (1, 3, H, W), channels in the order given.
    """
    height, width = pixels.shape[:2]
    padded = size or (-(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE)
    x = np.zeros((1, 3, *padded), np.float32)
    for channel in range(3):  # faster than all at once: each is written in one stroke
        x[0, channel, :height, :width] = pixels[:, :, channel]
    return x


def _open(path: Path, threads: int) -> Session:
    if not path.is_file():
        hint = "Check the path after 'yunet:'."
        raise ModelError("is not a file", subject=repr(str(path)), hint=hint)
    session = Session(path, threads=threads, spin=True)
    missing = set(_OUTPUTS) - {node.name for node in session.outputs}
    if missing or len(session.inputs) != 1 or len(session.inputs[0].shape) != 4:
        reason = f"is not a YuNet: it lacks the outputs {', '.join(sorted(missing))}"
        raise ModelError(reason, subject=repr(str(path)), hint=f"OpenCV Zoo's {_FILE} is one.")
    return session


def decode_outputs(grids: dict[str, F32], width: int, *, min_score: float) -> Candidates:
    """Turns the network's outputs into candidates, in pixels of the network's input.

    ``grids`` are ``cls_8`` (1, cells, 1), ``bbox_8`` (1, cells, 4), ``kps_8`` (1, cells, 10) and so
    on; cells in rows from the top left.
    """
    parts = []
    for stride in STRIDES:
        cls, obj = (np.clip(grids[f"{kind}_{stride}"][0], 0, 1) for kind in ("cls", "obj"))
        # YuNet counts from the corner of a cell, mien's network from its middle.
        places = np.hstack([grids[f"bbox_{stride}"][0], grids[f"kps_{stride}"][0]])
        places[:, _FROM_CORNER] -= 0.5
        parts.append(np.hstack([np.sqrt(cls * obj), places]))
    height = len(parts[0]) // (width // STRIDES[0]) * STRIDES[0]
    return Candidates(*decode_cells(np.concatenate(parts), width, height, min_score))
