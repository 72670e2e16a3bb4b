"""The second opinion of ``mien:verify``: a larger network judges what the detector proposes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.backends.session import Session
from mien.detectors.framing import crop_box
from mien.errors import ModelError
from mien.preprocess import Preprocessing, crop_faces

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.detectors.framing import Framing

#: Crops a run of the network: bounds the memory of a picture with many proposals.
_BATCH = 64
_CROP = Preprocessing(size=48, color="gray")


class FaceVerifier:
    """Says how likely boxes are faces.

    Args:
        path: ``verifier.onnx``.
        sha256: Its digest; empty: not checked.
        threads: Threads of ONNX Runtime; 0 leaves it to the library.

    Raises:
        ModelError: If the file is missing, damaged, or is no such network.
    """

    def __init__(self, path: Path, *, sha256: str = "", threads: int = 0) -> None:
        self._session = Session(path, threads=threads, sha256=sha256)
        inputs = [item.name for item in self._session.inputs]
        if inputs != ["faces", "scores"]:
            raise ModelError(
                f"is no network that judges faces: its inputs are {inputs}", subject=path
            )

    def scores(
        self,
        image_rgb: NDArray[np.uint8],
        boxes_xyxy: NDArray[np.float32],
        scores: NDArray[np.float32],
        framing: Framing,
    ) -> NDArray[np.float32]:
        """Judges the boxes of one picture.

        Args:
            image_rgb: uint8 (H, W, 3).
            boxes_xyxy: (N, 4) in pixels; their centres lie in the picture.
            scores: (N,), the detector's, 0..1.
            framing: How its boxes relate to crops.

        Returns:
            float32 (N,), 0..1.
        """
        judged = np.zeros(len(boxes_xyxy), np.float32)
        squares = crop_box(boxes_xyxy, framing)
        for start in range(0, len(judged), _BATCH):
            part = slice(start, start + _BATCH)
            crops = crop_faces(image_rgb, squares[part], _CROP).transpose(0, 3, 1, 2)
            feed = {"faces": crops.astype(np.float32), "scores": scores[part].astype(np.float32)}
            judged[part] = self._session.run(None, feed)[0]
        return judged
