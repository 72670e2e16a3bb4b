"""Frames in, tracked faces out: cuts, detection, tracks, expressions and smoothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from mien.errors import DetectorError
from mien.images.pixels import check_rgb
from mien.preprocess import crop_faces
from mien.results import FaceEmotion, ImageResult
from mien.video.config import VideoConfig
from mien.video.smoothing import ProbabilitySmoother, Resumable
from mien.video.tracker import KalmanTracker, Tracker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.arrays import F32, F64, U8, Ints
    from mien.recognizer import EmotionRecognizer
    from mien.video.lookback import Moment

#: Sides of the small pictures: of a face, for its appearance, and of a frame, to find cuts.
_SIDE, _FRAME = 6, (16, 9)
#: Mean change of a pixel, of 255, that a cut has at least; and how often the usual change, of so
#: many frames.
_MIN_CHANGE, _TIMES, _USUAL = 22.0, 3.0, 8
#: Seconds that the detections which make a track need not span, however many are wanted.
_CONFIRM_S = 0.24
#: Seconds after which a face that is out of sight is forgotten; ``gap_s`` is no longer.
_FORGET_S = 60.0
#: Frames on which a detector may fail before it has done one.
_MAX_FAILED = 8


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """One tracked face in one frame that was read.

    Args:
        face: Box, smoothed probabilities, their prediction set, this frame's quality flags, and
            ``track_id``.
        raw: float64 (L,), this frame's own probabilities.
        std: Standard error of ``face.confidence``; see :mod:`mien.video.smoothing`.
        frames: Effective number of frames behind the smoothed probabilities.
        detected: The detector saw it in this frame; else the track says where it is.
    """

    face: FaceEmotion
    raw: F64
    std: float
    frames: float
    detected: bool


@dataclass
class _Memory:
    """What is known of one face: its sums, and its last answer."""

    smoother: ProbabilitySmoother
    face: FaceEmotion | None = None


class _Seen(NamedTuple):
    """The N numbered faces of a frame: boxes float64 (N, 4), scores, crops uint8 (N, S, S, C)."""

    numbers: list[int]
    boxes_xyxy: F64
    scores: list[float]
    crops: U8


class CutDetector(Resumable):
    """Finds hard cuts by how much a 16x9 picture of each frame changes.

    A cut changes the picture by at least 22 of 255 on average, and by three times the median of
    the last eight changes, so that shaking cameras and dancers are no cuts. Fades are not found.

    >>> cuts = CutDetector()
    >>> black, white = np.zeros((90, 160, 3), np.uint8), np.full((90, 160, 3), 255, np.uint8)
    >>> [cuts.is_cut(picture) for picture in (black, black, white, white)]
    [False, False, True, False]
    """

    def __init__(self) -> None:
        self._last: Ints | None = None
        self._changes: Sequence[float] = []

    def is_cut(self, image_rgb: U8) -> bool:
        """Takes the next frame, uint8 (H, W, 3); says whether a new scene starts with it."""
        small = Image.fromarray(image_rgb).resize(_FRAME, Image.Resampling.BOX, reducing_gap=1.0)
        now = np.asarray(small, dtype=np.int16)
        last, self._last = self._last, now
        if last is None:
            return False
        change = float(np.abs(now - last).mean())
        usual = float(np.median(self._changes)) if len(self._changes) else 0.0
        if change >= _MIN_CHANGE and change >= _TIMES * usual:
            self._changes = []
            return True
        self._changes = [*self._changes[1 - _USUAL :], change]
        return False


class VideoRecognizer:
    """Tracks the faces of one clip or camera; give it frames in the order of time.

    Args:
        recognizer: The model and detector.
        config: How often to detect, how to smooth, and so on; None: the defaults.
        fps: Frames per second that will be read, for the number of detections a track needs.
        tracker: What numbers the faces, one for each clip; None: a
            :class:`mien.video.KalmanTracker` by the settings.

    >>> from mien import EmotionRecognizer
    >>> video = VideoRecognizer(EmotionRecognizer(), fps=25)
    >>> video.read(np.zeros((90, 160, 3), np.uint8), 0.0)
    []
    """

    def __init__(
        self,
        recognizer: EmotionRecognizer,
        config: VideoConfig | None = None,
        *,
        fps: float = 25.0,
        tracker: Tracker | None = None,
    ) -> None:
        self.config = config = config or VideoConfig()
        min_score = recognizer.pipeline.detector.min_score
        if tracker is None:
            enough = 1 + round(_CONFIRM_S * fps / config.detect_every)
            tracker = KalmanTracker(
                start_score=min_score, gap_s=config.gap_s, confirm=min(config.confirm, enough)
            )
        self._min_score = min_score
        #: Frames that are read from a face's first detection to its number.
        self.delay = (getattr(tracker, "confirm", config.confirm) - 1) * config.detect_every
        #: Of the last frame: a new scene began with it; boxes float64 (N, 4) and scores of faces
        #: that have no number yet, None where none were searched for.
        self.is_new_scene = False
        self.unnumbered: tuple[F64, F64] | None = None
        self.recognizer = recognizer.variant(
            min_face=config.min_face,
            max_faces=config.max_faces,
            min_score=tracker.score_share * min_score,
        )
        self._pipeline = self.recognizer.pipeline
        self._tracker = tracker
        self._cuts = CutDetector()
        self._known: dict[int, _Memory] = {}
        self._to_detection = 0
        #: Frames that were searched for faces, those on which the detector failed, and how.
        self.searched, self.failed, self.fault = 0, 0, ""

    def read(self, image_rgb: U8, time_s: float) -> list[TrackedFace]:
        """Reads a frame.

        Args:
            image_rgb: uint8 (H, W, 3), upright.
            time_s: Later than the last frame's.

        Returns:
            The confirmed tracks in sight, by number; where the detector fails on the frame, as
            they moved on. ``failed`` counts such frames.

        Raises:
            InputError: If the frame is no such picture.
            DetectorError: If the detector failed on each of the first frames.
        """
        check_rgb(image_rgb, "faces are tracked in")
        self.is_new_scene = self._cuts.is_cut(image_rgb)
        if self.is_new_scene:
            self._tracker.end_all()
            self._to_detection = 0
            self._known.clear()
        detected = self._to_detection <= 0
        if detected:
            self._to_detection = self.config.detect_every
        self._to_detection -= 1
        self.unnumbered = None
        found = self._detect(image_rgb, time_s) if detected else None
        detected = found is not None
        seen = self._move(image_rgb, time_s) if found is None else found
        if not seen.numbers:
            return []
        tracked = self._answer(seen, time_s, detected=detected)
        self._known = {
            number: memory
            for number, memory in self._known.items()
            if time_s - memory.smoother.time_s <= _FORGET_S
        }
        return tracked

    def answer_at(self, image_rgb: U8, time_s: float, number: int, moment: Moment) -> TrackedFace:
        """Answers one face of a frame before the last; such frames come in the order of time."""
        boxes = moment.box_xyxy[None]
        crops = crop_faces(
            image_rgb, self._pipeline.squares(boxes), self._pipeline.config.preprocessing
        )
        seen = _Seen([number], boxes, [moment.score], crops)
        return self._answer(seen, time_s, detected=moment.detected)[0]

    def last_answer(self, number: int) -> FaceEmotion:
        """Returns the last answer of a face."""
        face = self._known[number].face
        assert face is not None  # noqa: S101 - it was answered
        return face

    def forget(self, number: int) -> None:
        """Forgets the probabilities of a face, which are to be read anew."""
        self._known.pop(number, None)

    def _answer(self, seen: _Seen, time_s: float, *, detected: bool) -> list[TrackedFace]:
        """Answers the numbered faces of a frame, by number."""
        own = self._pipeline.calibrated(self._pipeline.logits(seen.crops))
        raw = self._pipeline.answer(own)
        # The prediction set is told by the model's own labels, the answer by those asked for.
        smoothed = [
            self._memory(number).smoother.add(time_s, np.concatenate(rows))
            for number, *rows in zip(seen.numbers, own, raw, strict=True)
        ]
        means, K = np.array([known.probs for known in smoothed]), own.shape[1]
        faces = self._pipeline.faces(
            means[:, :K], means[:, K:], seen.crops, seen.boxes_xyxy, seen.scores,
            track_ids=seen.numbers,
        )  # fmt: skip
        tracked = []
        for face, row, known in zip(faces, raw, smoothed, strict=True):
            self._known[face.track_id or 0].face = face
            std = known.std[K + self.recognizer.labels.index(face.emotion)]
            tracked.append(TrackedFace(face, row, float(std), known.frames, detected))
        return sorted(tracked, key=lambda item: item.face.track_id or 0)

    def between(self, time_s: float) -> list[FaceEmotion]:
        """Returns the faces of a frame that is only shown: moved on, with their last answers."""
        return [replace(face, box_xyxy=tuple(box.tolist())) for face, box in self._visible(time_s)]

    def result(
        self, faces: Sequence[FaceEmotion], *, source: str, size: tuple[int, int]
    ) -> ImageResult:
        """Joins a frame's faces into a result; ``size`` is width and height."""
        return ImageResult(
            source, *size, tuple(faces), self.recognizer.config.name,
            self._pipeline.detector.name, {}, prior=self._pipeline.shares,
        )  # fmt: skip

    def to_state(self) -> dict[str, Any]:
        """Returns plain JSON types for :meth:`restore`."""
        known = {
            str(number): (memory.smoother.to_state(), memory.face and memory.face.to_dict())
            for number, memory in self._known.items()
        }
        return {
            "tracker": self._tracker.to_state(), "cuts": self._cuts.to_state(), "known": known,
            "to_detection": self._to_detection,
            "faults": [self.searched, self.failed, self.fault],
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where :meth:`to_state` was called."""
        self._tracker.restore(state["tracker"])
        self._cuts.restore(state["cuts"])
        self._to_detection = int(state["to_detection"])
        self.searched, self.failed, self.fault = state.get("faults", (0, 0, ""))
        self._known = {}
        for number, (smoother, face) in state["known"].items():
            memory = self._memory(int(number))
            memory.smoother.restore(smoother)
            memory.face = face and FaceEmotion.from_dict(face)

    def _memory(self, number: int) -> _Memory:
        if number not in self._known:
            self._known[number] = _Memory(ProbabilitySmoother(self.config.smooth_s))
        return self._known[number]

    def _detect(self, image_rgb: U8, time_s: float) -> _Seen | None:
        """Returns numbers, boxes, scores and crops of the faces that the detector finds.

        None where it fails; the next frame is then searched.
        """
        prepared = self._pipeline.prepare(image_rgb)
        self.searched += 1
        if prepared.error is not None:
            self.failed += 1
            self.fault = self.fault or str(prepared.error)
            if self.failed == self.searched >= _MAX_FAILED or not isinstance(
                prepared.error, DetectorError
            ):
                raise prepared.error
            self._to_detection = 0
            return None
        found = prepared.detections
        appearance = _appearance(image_rgb, found.boxes_xyxy)
        pairs = self._tracker.update(found.boxes_xyxy, found.scores, time_s, appearance=appearance)
        rows = [row for _, row in pairs]
        others = np.setdiff1d(np.flatnonzero(found.scores >= self._min_score), rows)
        self.unnumbered = (
            found.boxes_xyxy[others].astype(np.float64), found.scores[others].astype(np.float64)
        )  # fmt: skip
        boxes = found.boxes_xyxy[rows].astype(np.float64)
        scores = found.scores[rows].tolist()
        return _Seen([number for number, _ in pairs], boxes, scores, prepared.crops[rows])

    def _move(self, image_rgb: U8, time_s: float) -> _Seen:
        """Returns the same of the faces in sight, where their tracks say that they are now."""
        height, width = image_rgb.shape[:2]
        visible = self._visible(time_s)
        boxes = np.reshape([box for _, box in visible], (-1, 4))
        squares = self._pipeline.squares(boxes)
        inside = (squares[:, 2:] > 0).all(axis=1) & (squares[:, :2] < (width, height)).all(axis=1)
        crops = crop_faces(image_rgb, squares[inside], self._pipeline.config.preprocessing)
        faces = [visible[row][0] for row in np.flatnonzero(inside)]
        numbers = [face.track_id or 0 for face in faces]
        return _Seen(numbers, boxes[inside], [face.detection_score for face in faces], crops)

    def _visible(self, time_s: float) -> list[tuple[FaceEmotion, F64]]:
        """Returns the last answer of each face in sight, and where it is by now."""
        known = self._known
        return [
            (face, box)
            for number, box in self._tracker.visible(time_s)
            if number in known and (face := known[number].face) is not None
        ]


def _appearance(image_rgb: U8, boxes_xyxy: F32) -> F32:
    """Returns a small colour picture of each face, float32 (N, 108) in 0..1."""
    rows = np.zeros((len(boxes_xyxy), _SIDE * _SIDE * 3), np.float32)
    limits = np.array([image_rgb.shape[1], image_rgb.shape[0]] * 2)
    for row, box in zip(rows, boxes_xyxy, strict=True):
        x1, y1, x2, y2 = np.clip(np.round(box), 0, limits).astype(int)
        if x1 < x2 and y1 < y2:
            face = Image.fromarray(image_rgb[y1:y2, x1:x2])
            row[:] = np.asarray(face.resize((_SIDE, _SIDE), Image.Resampling.BOX)).ravel() / 255
    return rows
