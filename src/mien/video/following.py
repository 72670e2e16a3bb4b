"""Frames in, followed faces out: detection, tracks, expressions and smoothing, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.preprocess import crop_faces
from mien.results import FaceEmotion, ImageResult
from mien.video.cuts import CutDetector
from mien.video.smoothing import ProbabilitySmoother
from mien.video.tracking import Tracker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mien.recognizer import EmotionRecognizer
    from mien.video.config import VideoConfig
    from mien.video.smoothing import Smoothed
    from mien.video.tracking import Track

#: Share of the detector's own threshold that still continues a track.
_UNSURE = 0.6
_LOOK = 6
#: Seconds that the detections which make a track need not span, however many are asked for.
_CONFIRM_S = 0.24


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """One tracked face in one frame that was read.

    Args:
        face: Box, smoothed probabilities, ``track_id``.
        raw: float64 (L,), this frame's own probabilities.
        std: Standard error of ``face.confidence``; see :mod:`mien.video.smoothing`.
        frames: Effective number of frames behind the smoothed probabilities.
        detected: The detector saw it in this frame; else the track says where it is.
    """

    face: FaceEmotion
    raw: NDArray[np.float64]
    std: float
    frames: float
    detected: bool


class VideoRecognizer:
    """Follows the faces of one clip or camera; feed it frames in the order of time.

    Args:
        recognizer: The model and detector.
        config: How often to detect, how to smooth, and so on.
        fps: Frames a second that will be read, for the number of detections a track needs.

    >>> from mien import EmotionRecognizer
    >>> from mien.video.config import VideoConfig
    >>> follower = VideoRecognizer(EmotionRecognizer(), VideoConfig(), fps=25)
    >>> follower.read(np.zeros((90, 160, 3), np.uint8), 0.0)
    []
    """

    def __init__(
        self, recognizer: EmotionRecognizer, config: VideoConfig, *, fps: float = 25.0
    ) -> None:
        self.config = config
        detector = recognizer.pipeline.detector
        start_score = detector.min_score
        self.recognizer = recognizer.variant(
            detector=detector.with_min_score(_UNSURE * start_score),
            min_face=config.min_face,
            max_faces=config.max_faces,
        )
        enough = 1 + round(_CONFIRM_S * fps / config.detect_every)
        self._tracker = Tracker(
            start_score=start_score, gap_s=config.gap_s, confirm=min(config.confirm, enough)
        )
        self._cuts = CutDetector()
        self._smoothers: dict[int, ProbabilitySmoother] = {}
        self._to_detection = 0

    def read(self, image_rgb: NDArray[np.uint8], time_s: float) -> list[TrackedFace]:
        """Reads a frame.

        Args:
            image_rgb: uint8 (H, W, 3), upright.
            time_s: Later than the last frame's.

        Returns:
            The confirmed tracks in sight, by number.

        Raises:
            InputError: If the frame is no such picture.
        """
        if self._cuts.is_cut(image_rgb):
            self._tracker.end_all()
            self._to_detection = 0
        if self._to_detection <= 0:
            found, crops = self._detect(image_rgb, time_s)
            self._to_detection = self.config.detect_every
        else:
            found, crops = self._predict(image_rgb, time_s)
        detected = self._to_detection == self.config.detect_every
        self._to_detection -= 1
        if not found:
            return []
        raw = self.recognizer.pipeline.probs(self.recognizer.pipeline.logits(crops))
        tracked_faces = [
            self._sighting(track, box, row, time_s, detected=detected)
            for (track, box), row in zip(found, raw, strict=True)
        ]
        alive = {track.track_id for track in self._tracker.tracks}
        self._smoothers = {key: value for key, value in self._smoothers.items() if key in alive}
        return sorted(tracked_faces, key=lambda item: item.face.track_id or 0)

    def between(self, time_s: float) -> list[FaceEmotion]:
        """Returns the faces of a frame that is only shown: moved on, with their last answers."""
        faces = []
        for track in self._tracker.visible():
            smoother = self._smoothers.get(track.track_id or 0)
            if smoother is not None:
                box = track.motion.box_at(time_s)
                faces.append(self._face(track, box, smoother.known()))
        return faces

    def result(
        self, faces: Sequence[FaceEmotion], *, source: str, size: tuple[int, int]
    ) -> ImageResult:
        """Joins a frame's faces into a result; ``size`` is width and height."""
        return ImageResult(
            source, size[0], size[1], tuple(faces), self.recognizer.config.name,
            self.recognizer.pipeline.detector.name, {},
        )  # fmt: skip

    def to_state(self) -> dict[str, Any]:
        """Returns plain JSON types for :meth:`restore`."""
        smoothers = {str(key): value.to_state() for key, value in self._smoothers.items()}
        return {
            "tracker": self._tracker.to_state(), "cuts": self._cuts.to_state(),
            "smoothers": smoothers, "to_detection": self._to_detection,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where :meth:`to_state` was called."""
        self._tracker.restore(state["tracker"])
        self._cuts.restore(state["cuts"])
        self._to_detection = int(state["to_detection"])
        self._smoothers = {}
        for key, value in state["smoothers"].items():
            self._smoothers[int(key)] = smoother = ProbabilitySmoother(self.config.smooth_s)
            smoother.restore(value)

    def _detect(
        self, image_rgb: NDArray[np.uint8], time_s: float
    ) -> tuple[list[tuple[Track, NDArray[np.float64]]], NDArray[np.uint8]]:
        prepared = self.recognizer.pipeline.prepare(image_rgb)
        if prepared.error is not None:
            raise prepared.error
        found, crops = prepared.detections, prepared.crops
        pairs = self._tracker.update(
            found.boxes_xyxy, found.scores, time_s, looks=_looks(image_rgb, found.boxes_xyxy)
        )
        rows = [index for _, index in pairs]
        return [(track, found.boxes_xyxy[i].astype(np.float64)) for track, i in pairs], crops[rows]

    def _predict(
        self, image_rgb: NDArray[np.uint8], time_s: float
    ) -> tuple[list[tuple[Track, NDArray[np.float64]]], NDArray[np.uint8]]:
        height, width = image_rgb.shape[:2]
        found, squares = [], []
        pipeline = self.recognizer.pipeline
        for track in self._tracker.visible():
            box = track.motion.box_at(time_s)
            square = pipeline.squares(box)[0]
            if (square[2:] > 0).all() and square[0] < width and square[1] < height:
                found.append((track, box))
                squares.append(square)
        crops = crop_faces(image_rgb, np.reshape(squares, (-1, 4)), pipeline.config.preprocessing)
        return found, crops

    def _sighting(
        self,
        track: Track,
        box: NDArray[np.float64],
        raw: NDArray[np.float64],
        time_s: float,
        *,
        detected: bool,
    ) -> TrackedFace:
        number = track.track_id or 0
        if number not in self._smoothers:
            self._smoothers[number] = ProbabilitySmoother(self.config.smooth_s)
        known = self._smoothers[number].add(time_s, raw)
        face = self._face(track, box, known)
        top = self.recognizer.labels.index(face.emotion)
        return TrackedFace(face, raw, float(known.std[top]), known.frames, detected)

    def _face(self, track: Track, box: NDArray[np.float64], known: Smoothed) -> FaceEmotion:
        return FaceEmotion.from_probs(
            self.recognizer.labels,
            known.probs,
            box_xyxy=box,
            detection_score=track.score,
            track_id=track.track_id,
        )


def _looks(image_rgb: NDArray[np.uint8], boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns a small colour picture of each face, float32 (N, 108) in 0..1."""
    looks = np.zeros((len(boxes_xyxy), _LOOK * _LOOK * 3), np.float32)
    limits = np.array([image_rgb.shape[1], image_rgb.shape[0]] * 2)
    for look, box in zip(looks, boxes_xyxy, strict=True):
        x1, y1, x2, y2 = np.clip(np.round(box), 0, limits).astype(int)
        if x1 < x2 and y1 < y2:
            face = Image.fromarray(image_rgb[y1:y2, x1:x2])
            look[:] = np.asarray(face.resize((_LOOK, _LOOK), Image.Resampling.BOX)).ravel() / 255
    return looks
