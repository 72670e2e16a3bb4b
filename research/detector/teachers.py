"""The detectors that teach and that are compared with: YuNet and UltraFace, at any input size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from research.detector.boxes import nms

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_STRIDES = (8, 16, 32)
#: Where a mirrored face has its five landmarks: right and left change places.
MIRRORED = (1, 0, 2, 4, 3)


@dataclass(frozen=True)
class Found:
    """What a detector saw in one image.

    Args:
        boxes: float32 (N, 4), corners in pixels.
        scores: float32 (N,), 0..1.
        points: float32 (N, 5, 2) in pixels; NaN where the detector has none.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    points: NDArray[np.float32]


def open_session(path: Path, threads: int = 1) -> Any:
    """Opens an ONNX network on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that stay awake after a run would slow down the detector that is timed next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )


class YuNet:
    """Any build of YuNet (Wu, Peng and Yu 2023), at the image's own size.

    Args:
        path: The ONNX file.
        threads: Threads of ONNX Runtime.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._session = open_session(path, threads)
        self._input = self._session.get_inputs()[0].name
        self._names = [f"{kind}_{s}" for kind in ("cls", "obj", "bbox", "kps") for s in _STRIDES]

    def run(self, image_rgb: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Returns the network's twelve outputs for uint8 (H, W, 3)."""
        height, width = image_rgb.shape[:2]
        padded = np.zeros((1, 3, -(-height // 32) * 32, -(-width // 32) * 32), np.float32)
        padded[0, :, :height, :width] = image_rgb[:, :, ::-1].transpose(2, 0, 1)
        outputs: list[NDArray[np.float32]] = self._session.run(self._names, {self._input: padded})
        return outputs

    def detect(
        self, image_rgb: NDArray[np.uint8], min_score: float = 0.1, iou: float = 0.4
    ) -> Found:
        """Finds faces from ``min_score``; of boxes that overlap by more than ``iou``, one stays."""
        outputs = self.run(image_rgb)
        columns = -(-image_rgb.shape[1] // 32) * 32
        parts = []
        for level, stride in enumerate(_STRIDES):
            cls, obj, bbox, kps = (outputs[level + 3 * kind][0] for kind in range(4))
            score = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
            cells = np.flatnonzero(score >= min_score)
            corner = np.stack([cells % (columns // stride), cells // (columns // stride)], axis=1)
            centre = (corner + bbox[cells, :2]) * stride
            half = np.exp(np.clip(bbox[cells, 2:], None, 8)) * (stride / 2)
            points = (kps[cells].reshape(-1, 5, 2) + corner[:, None]) * stride
            parts.append((np.hstack([centre - half, centre + half]), score[cells], points))
        boxes, scores, points = (
            np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True)
        )
        kept = np.argsort(-scores, kind="stable")[:3000]
        kept = kept[nms(boxes[kept], scores[kept], iou)]
        return Found(boxes[kept], scores[kept], points[kept])

    def detect_twice(self, image_rgb: NDArray[np.uint8], min_score: float = 0.1) -> Found:
        """Finds faces in the image and in its mirror image; what both see is averaged."""
        from research.detector.boxes import iou_matrix

        width = image_rgb.shape[1]
        plain = self.detect(image_rgb, min_score)
        other = self.detect(np.ascontiguousarray(image_rgb[:, ::-1]), min_score)
        if not len(plain.scores) or not len(other.scores):
            return plain
        boxes = np.stack(
            [width - other.boxes[:, 2], other.boxes[:, 1], width - other.boxes[:, 0],
             other.boxes[:, 3]], axis=1,
        )  # fmt: skip
        points = other.points[:, MIRRORED] * np.float32([-1, 1]) + np.float32([width, 0])
        overlap = iou_matrix(plain.boxes, boxes)
        match = overlap.argmax(axis=1)
        same = overlap.max(axis=1) >= 0.5
        weight = np.where(same, 0.5, 0.0).astype(np.float32)[:, None]
        return Found(
            plain.boxes * (1 - weight) + boxes[match] * weight,
            np.maximum(plain.scores, np.where(same, other.scores[match], 0)).astype(np.float32),
            plain.points * (1 - weight[..., None]) + points[match] * weight[..., None],
        )


class UltraFace:
    """UltraFace RFB at its fixed input of 640x480; the image is scaled into it, not squashed."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._session = open_session(path, threads)
        node = self._session.get_inputs()[0]
        self._input, (self._height, self._width) = node.name, node.shape[2:]

    def detect(
        self, image_rgb: NDArray[np.uint8], min_score: float = 0.1, iou: float = 0.4
    ) -> Found:
        """Finds faces from ``min_score``; it has no landmarks."""
        height, width = image_rgb.shape[:2]
        scale = min(self._width / width, self._height / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = Image.fromarray(image_rgb).resize(size, Image.Resampling.BILINEAR)
        canvas = np.zeros((1, 3, self._height, self._width), np.float32)
        pixels = (np.asarray(small, np.float32) - 127) / 128
        canvas[0, :, : size[1], : size[0]] = pixels.transpose(2, 0, 1)
        outputs = self._session.run(None, {self._input: canvas})
        scores = next(x for x in outputs if x.shape[-1] == 2)[0, :, 1]
        boxes = next(x for x in outputs if x.shape[-1] == 4)[0]
        kept = np.flatnonzero(scores >= min_score)
        boxes = boxes[kept] * np.float32([self._width, self._height] * 2) / np.float32(scale)
        scores = scores[kept].astype(np.float32)
        best = np.argsort(-scores, kind="stable")[:3000]
        best = best[nms(boxes[best], scores[best], iou)]
        points = np.full((len(best), 5, 2), np.nan, np.float32)
        return Found(boxes[best].astype(np.float32), scores[best], points)
