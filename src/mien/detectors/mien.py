"""``mien``: the detector inside the package. A small network of our own, run by ONNX Runtime.

Large photos are looked at with their longer side at 640 pixels, and once more at a quarter of
that for faces that fill the picture; pictures below 320 pixels once more enlarged, for small
faces. ``mien:fine`` adds a look at twice the size. ``mien:verify`` has a second, larger network
assess every region that might be a face, instead of trusting the first one's score. How the
networks were trained, and how well they find what, is in ``docs/detector.md``.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from PIL import Image

from mien.backends.session import Session
from mien.detectors.boxes import nms
from mien.detectors.bundle import (
    CONFIG,
    FOLDER,
    MULTIPLE,
    NETWORK,
    VERIFIER,
    read_bundle,
)
from mien.detectors.cells import decode_cells
from mien.detectors.detections import Detections, check_image, check_search
from mien.detectors.protocol import MIN_FACE, Detector
from mien.detectors.verifier import FaceVerifier
from mien.detectors.voting import vote
from mien.errors import ModelError

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray


_MAX_CANDIDATES = 1000
#: Most boxes a picture that the second network judges, the surest: of a crowd beyond that, or of
#: noise, the first network's word counts.
_MAX_JUDGED = 256
#: Share of the smaller of two judged boxes in the other from which they show one face.
_INSIDE = 0.6


@dataclass(frozen=True)
class _Look:
    """One run of the network: at which factor on the picture, and which faces it may report.

    ``least`` and ``most`` bound the longer side of a face, in pixels of the look.
    """

    scale: float
    least: float = 0.0
    most: float = math.inf


class MienDetector(Detector):
    """Finds faces with the bundled network, with five landmarks each.

    Args:
        folder: Where ``detector.onnx`` and ``detector.json`` lie; the bundled ones by default.
        threads: Threads inside one picture; 0 leaves it to ONNX Runtime.
        fine: Look once more at twice the size, for small faces: about five times the work.
        min_score: Lowest score to report; None takes the one of ``detector.json``.
        verify: Have a second network assess what the first proposes: finds far more faces at
            equal mistakes, for a few times the work.

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
        verify: bool = False,
    ) -> None:
        place = FOLDER if folder is None else Path(folder)
        self.config = read_bundle(place)
        self.name = "mien" + ":fine" * fine + ":verify" * verify
        self.fine = fine
        #: Twice the side at which it searches: what it sees then holds every pixel that it needs.
        self.working_side = 2 * self.config.max_side
        self.framing = self.config.framing
        usual, self._verifier = self.config.min_score, None
        if verify:
            second = self.config.verify
            if second is None:
                raise ModelError(
                    "names no network that verifies faces", subject=f"{place / CONFIG}"
                )
            usual, digest = second.min_score, second.sha256
            self._verifier = FaceVerifier(place / VERIFIER, sha256=digest, threads=threads)
        self.min_score = usual if min_score is None else min_score
        self._session = Session(
            place / NETWORK, threads=threads, sha256=self.config.sha256, spin=not verify
        )
        shape = self._session.outputs[0].shape
        if len(self._session.inputs) != 1 or len(shape) != 3 or shape[2] != 15:
            raise ModelError(
                f"is not mien's detector: its output is {shape}", subject=f"{place / NETWORK}"
            )
        self._input = self._session.inputs[0].name

    def with_min_score(self, min_score: float) -> Self:
        """Returns the same detector with another lowest score, 0..1."""
        other = copy.copy(self)
        other.min_score = min_score
        return other

    def single_threaded(self) -> Self:
        """Returns the same detector with one thread per call."""
        other = copy.copy(self)
        other._session = self._session.single_threaded
        return other

    @property
    def fingerprint(self) -> str:
        """The network's digest, the threshold and the scales."""
        return f"{self.name} {self.config.sha256[:16]} {self.min_score:g}"

    @property
    def _least(self) -> float:
        """Lowest score of the first network that counts."""
        verify = self.config.verify
        return self.min_score if self._verifier is None or verify is None else verify.propose

    def detect(
        self,
        image_rgb: NDArray[np.uint8],
        *,
        min_face: float = MIN_FACE,
        max_faces: int | None = None,
    ) -> Detections:
        """Finds faces; see :class:`mien.detectors.Detector`.

        Raises:
            InputError: If ``image_rgb`` is not uint8 (H, W, 3).
        """
        height, width = check_image(image_rgb)
        check_search(min_face, max_faces)
        looks = [self._look(image_rgb, look) for look in self._looks(width, height)]
        boxes, scores, points = (np.concatenate(part) for part in zip(*looks, strict=True))
        sure = np.flatnonzero(scores >= self._least)
        best = sure[np.argsort(-scores[sure], kind="stable")[:_MAX_CANDIDATES]]
        kept = best[nms(boxes[best], scores[best], iou_threshold=self.config.iou)]
        centres = (boxes[kept, :2] + boxes[kept, 2:]) / 2
        kept = kept[((centres >= 0) & (centres <= (width, height))).all(axis=1)]
        moved, marks = vote(boxes, scores, points, kept)
        found = Detections(moved, scores[kept], marks).keep(min_face=min_face)
        if self._verifier is not None:
            found = self._verified(image_rgb, found, self._verifier)
        return found.keep(max_faces=max_faces)

    def _verified(
        self, image_rgb: NDArray[np.uint8], found: Detections, verifier: FaceVerifier
    ) -> Detections:
        """Keeps what the second network takes for a face, with its scores."""
        boxes, points = found.boxes_xyxy, found.landmarks
        judged = np.where(found.scores >= self.config.min_score, found.scores, np.float32(0))
        asked = np.argsort(-found.scores, kind="stable")[:_MAX_JUDGED]
        judged[asked] = verifier.scores(image_rgb, boxes[asked], found.scores[asked], self.framing)
        sure = np.flatnonzero(judged >= self.min_score)
        kept = sure[nms(boxes[sure], judged[sure], iou_threshold=self.config.iou, inside=_INSIDE)]
        return Detections(boxes[kept], judged[kept], None if points is None else points[kept])

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
        low = self._least / 2
        boxes, scores, points = decode_cells(cells, padded[0], padded[1], low)
        side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0)
        kept = (side >= look.least) & (side < look.most)
        factor = np.array([width / size[0], height / size[1]], np.float32)
        return boxes[kept] * np.tile(factor, 2), scores[kept], points[kept] * factor
