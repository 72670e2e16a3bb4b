"""``mien``: the detector inside the package. A small network of our own, run by ONNX Runtime.

Large photos are looked at with their longer side at 640 pixels, and once more at a quarter of
that for faces that fill the picture; pictures below 320 pixels once more enlarged, for small
faces. ``mien:fine`` adds a look at twice the size. How the network was trained, and how well it
finds what, is in ``docs/detector.md``.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.errors import ModelError
from mien.faces.detections import Detections, check_image, check_wishes
from mien.faces.finder_cells import decode_cells
from mien.faces.finder_config import CONFIG, FOLDER, MULTIPLE, NETWORK, read_finder
from mien.faces.nms import nms
from mien.faces.registry import MIN_FACE
from mien.faces.voting import vote

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from mien.faces.framing import Framing

_MAX_CANDIDATES = 1000


@dataclass(frozen=True)
class _Look:
    """One run of the network: at which factor on the picture, and which faces it may report.

    ``least`` and ``most`` bound the longer side of a face, in pixels of the look.
    """

    scale: float
    least: float = 0.0
    most: float = math.inf


class FinderDetector:
    """Finds faces with the bundled network, with five landmarks each.

    Args:
        folder: Where ``finder.onnx`` and ``finder.json`` lie; the bundled ones by default.
        threads: Threads inside one picture; 0 leaves it to ONNX Runtime.
        fine: Look once more at twice the size, for small faces: about five times the work.
        min_score: Lowest score to report; None takes the one of ``finder.json``.

    Raises:
        ModelError: If a file is missing, damaged, or is no such network.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        threads: int = 0,
        fine: bool = False,
        min_score: float | None = None,
    ) -> None:
        place = FOLDER if folder is None else Path(folder)
        self.config = read_finder(place)
        self.name = "mien:fine" if fine else "mien"
        self.fine = fine
        self._min_score = self.config.min_score if min_score is None else min_score
        self._session = _open_session(place / NETWORK, self.config.sha256, threads)
        self._input = self._session.get_inputs()[0].name

    @property
    def framing(self) -> Framing:
        """How its boxes relate to the framing that mien's models expect."""
        return self.config.framing

    def detect(
        self,
        image_rgb: NDArray[np.uint8],
        *,
        min_face: float = MIN_FACE,
        max_faces: int | None = None,
    ) -> Detections:
        """Finds faces; see :class:`mien.faces.FaceDetector`.

        Raises:
            InputError: If ``image_rgb`` is not uint8 (H, W, 3).
        """
        height, width = check_image(image_rgb)
        check_wishes(min_face, max_faces)
        looks = [self._look(image_rgb, look) for look in self._looks(width, height)]
        boxes, scores, points = (np.concatenate(part) for part in zip(*looks, strict=True))
        sure = np.flatnonzero(scores >= self._min_score)
        best = sure[np.argsort(-scores[sure], kind="stable")[:_MAX_CANDIDATES]]
        kept = best[nms(boxes[best], scores[best], iou_threshold=self.config.iou)]
        centres = (boxes[kept, :2] + boxes[kept, 2:]) / 2
        kept = kept[((centres >= 0) & (centres <= (width, height))).all(axis=1)]
        moved, marks = vote(boxes, scores, points, kept)
        found = Detections(moved, scores[kept], marks)
        return found.keep(min_face=min_face, max_faces=max_faces)

    def _looks(self, width: int, height: int) -> list[_Look]:
        config, longest = self.config, max(width, height)
        whole = min(config.max_side / longest, 1.0)
        if longest < 0.5 * config.max_side and config.zoom > 1:
            zoom = min(config.zoom, 0.7 * config.max_side / longest)
            looks = [_Look(1.0, least=config.large_face)]
            looks.append(_Look(zoom, most=4 * config.large_face))
        else:
            looks = [_Look(whole)]
        if config.coarse and whole * longest > 0.5 * config.max_side:
            looks.append(_Look(whole * config.coarse, least=config.large_face))
        if self.fine:
            looks.append(_Look(whole * 2))
        return looks

    def _look(
        self, image_rgb: NDArray[np.uint8], look: _Look
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        height, width = image_rgb.shape[:2]
        size = max(1, round(width * look.scale)), max(1, round(height * look.scale))
        pixels = image_rgb
        if size != (width, height):
            picture = Image.fromarray(image_rgb)
            pixels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
        padded = tuple(-(-side // MULTIPLE) * MULTIPLE for side in size)
        x = np.zeros((1, 3, padded[1], padded[0]), np.float32)
        for channel in range(3):  # faster than all at once: each is written in one stroke
            x[0, channel, : size[1], : size[0]] = pixels[:, :, channel]
        cells = self._session.run(None, {self._input: x})[0][0]
        # Cells below the threshold report no face, but have a say in where one lies.
        low = self._min_score / 2
        boxes, scores, points = decode_cells(cells, padded[0], padded[1], low)
        side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0)
        kept = (side >= look.least) & (side < look.most)
        factor = np.array([width / size[0], height / size[1]], np.float32)
        return boxes[kept] * np.tile(factor, 2), scores[kept], points[kept] * factor


def _open_session(path: Path, sha256: str, threads: int) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    if sha256 and (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ModelError(
            f"{path} is damaged or was changed: its sha256 is {found[:16]}…, but {CONFIG} says "
            f"{sha256[:16]}…. Install mien again."
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{path} is no ONNX network that runs here ({error}).") from error
    shape = session.get_outputs()[0].shape
    if len(session.get_inputs()) != 1 or len(shape) != 3 or shape[2] != 15:
        raise ModelError(f"{path} is not mien's detector: its output is {shape}.")
    return session
