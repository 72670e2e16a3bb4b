"""The detectors that label scenes, and the ones that mien's own is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.errors import ModelError
from mien.faces.detections import Detections, check_image, check_wishes
from mien.faces.framing import Framing
from mien.faces.nms import nms
from mien.faces.registry import MIN_FACE

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_IOU = 0.3
_MAX_CANDIDATES = 500


class UltraFaceDetector:
    """UltraFace (Linzaer, "Ultra-Light-Fast-Generic-Face-Detector-1MB", MIT), RFB at 640x480.

    The picture is stretched to the network's one input size; boxes come back in its own pixels.

    Args:
        path: ONNX file with outputs ``scores`` (1, A, 2) and ``boxes`` (1, A, 4) in 0..1.
        threads: Threads inside one picture; 0 leaves it to ONNX Runtime.
        min_score: Lowest score to report, 0..1.

    Raises:
        ModelError: If the file is missing or is no such network.
    """

    name = "ultraface"
    framing = Framing()

    def __init__(
        self, path: str | os.PathLike[str], *, threads: int = 0, min_score: float = 0.7
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError(f"{str(path)!r} is no ONNX network that runs here: {error}") from error
        outputs = {node.name for node in self._session.get_outputs()}
        if not {"scores", "boxes"} <= outputs:
            raise ModelError(f"{str(path)!r} is not UltraFace: its outputs are {sorted(outputs)}.")
        self._height, self._width = self._session.get_inputs()[0].shape[2:]
        self._min_score = min_score

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
        picture = Image.fromarray(image_rgb).resize(
            (self._width, self._height), Image.Resampling.BILINEAR
        )
        x = (np.asarray(picture, np.float32).transpose(2, 0, 1)[None] - 127.0) / 128.0
        scores, boxes = self._session.run(["scores", "boxes"], {"input": x})
        chosen = np.flatnonzero(scores[0, :, 1] >= self._min_score)
        chosen = chosen[np.argsort(-scores[0, chosen, 1], kind="stable")[:_MAX_CANDIDATES]]
        found = boxes[0, chosen] * np.array([width, height, width, height], np.float32)
        real = (found[:, 2:] > found[:, :2]).all(axis=1)
        found, kept_scores = found[real], scores[0, chosen[real], 1]
        kept = nms(found, kept_scores, iou_threshold=_IOU)
        return Detections(found[kept], np.clip(kept_scores[kept], 0, 1)).keep(
            min_face=min_face, max_faces=max_faces
        )
