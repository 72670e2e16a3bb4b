"""Boxes from the first frame on: frames wait until it is known whose faces are in them.

A face gets its number at the third detection that agrees, so that a flicker of the detector is
none. Here frames are held back for as long, a quarter of a second; once the number is known, the
frames in which the face was detected before are answered for it, too, and those between them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mien.detectors.boxes import iou

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mien.arrays import F64
    from mien.results import FaceEmotion
    from mien.video.reading import Frame
    from mien.video.recognizer import TrackedFace, VideoRecognizer

#: Smallest overlap (IoU) of a face in two detections that follow each other.
_SAME = 0.2


class Moment(NamedTuple):
    """Where one face was at a time: box (4,), score, and whether it was detected there."""

    box_xyxy: F64
    score: float
    detected: bool


@dataclass
class Waiting:
    """A frame with what is known of it by now; ``tracked_faces`` is empty if it is only shown."""

    frame: Frame
    tracked_faces: list[TrackedFace]
    faces: list[FaceEmotion]
    #: Boxes (N, 4) and scores of the faces without a number; None: faces were not searched for.
    unnumbered: tuple[F64, F64] | None


class Lookback:
    """Reads frames with a :class:`mien.video.VideoRecognizer` and gives them back a little later.

    ``depth`` is the number of frames that are read from a face's first detection to its number.
    """

    def __init__(self, video: VideoRecognizer, depth: int) -> None:
        self._video, self._depth = video, depth
        self._waiting: deque[Waiting] = deque()
        self._numbers: set[int] = set()

    @property
    def is_open(self) -> bool:
        """Says whether a frame that waits has a face that may still get a number."""
        return any(one.unnumbered is not None and len(one.unnumbered[0]) for one in self._waiting)

    def push(self, frame: Frame) -> Iterator[Waiting]:
        """Takes the next frame; yields those that need not wait any longer, in their order."""
        video = self._video
        if not frame.wanted:
            self._waiting.append(Waiting(frame, [], video.between(frame.time_s), None))
            return
        tracked_faces = video.read(frame.image_rgb, frame.time_s)
        if video.is_new_scene:
            yield from self.flush()
        faces = [item.face for item in tracked_faces]
        now = Waiting(frame, tracked_faces, faces, video.unnumbered)
        for face in faces:
            if face.track_id not in self._numbers:
                self._trace(now, face)
        self._numbers = {face.track_id or 0 for face in faces} | self._numbers
        self._waiting.append(now)
        while sum(one.frame.wanted for one in self._waiting) > self._depth:
            yield self._waiting.popleft()

    def flush(self) -> Iterator[Waiting]:
        """Yields all that still waits; a run that goes on from here later remembers no more."""
        while self._waiting:
            yield self._waiting.popleft()
        self._numbers = set()

    def _trace(self, now: Waiting, face: FaceEmotion) -> None:
        """Answers the frames before a face got its number, from its first detection on."""
        number = face.track_id or 0
        seen = {
            now.frame.time_s: Moment(np.array(face.box_xyxy), face.detection_score, detected=True)
        }
        for one in reversed(self._waiting):
            if one.unnumbered is None:
                continue
            boxes, scores = one.unnumbered
            overlap = iou(min(seen.items())[1].box_xyxy[None], boxes)[0]
            if not len(boxes) or overlap.max() < _SAME:
                break
            row = int(overlap.argmax())
            seen[one.frame.time_s] = Moment(boxes[row], float(scores[row]), detected=True)
        if len(seen) == 1:
            return
        times = sorted(seen)
        track = np.array([seen[time_s].box_xyxy for time_s in times])
        self._video.forget(number)
        for one in [*(one for one in self._waiting if one.frame.time_s >= times[0]), now]:
            at = one.frame.time_s
            box = np.array([np.interp(at, times, track[:, side]) for side in range(4)])
            moment = seen.get(at, Moment(box, face.detection_score, detected=False))
            self._answer(one, number, moment)

    def _answer(self, one: Waiting, number: int, moment: Moment) -> None:
        """Adds a face to what is known of a frame, or replaces it."""
        if one.frame.wanted:
            added = self._video.answer_at(one.frame.image_rgb, one.frame.time_s, number, moment)
            others = [item for item in one.tracked_faces if item.face.track_id != number]
            one.tracked_faces = sorted([*others, added], key=lambda item: item.face.track_id or 0)
            one.faces = [item.face for item in one.tracked_faces]
        else:
            last = self._video.last_answer(number)
            box = tuple(moment.box_xyxy.tolist())
            one.faces = [*one.faces, replace(last, box_xyxy=box)]
