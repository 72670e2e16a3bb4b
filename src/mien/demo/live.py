"""The camera of one visitor: its faces followed, its frames answered one by one."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.demo.photo import to_jpeg
from mien.images import decode
from mien.video import VideoConfig, VideoRecognizer

if TYPE_CHECKING:
    from mien.demo.models import Model
    from mien.results import ImageResult

#: Seconds of silence after which faces are new ones, and over which the rate is averaged.
_GAP_S, _RATE_S = 3.0, 2.0
#: Longest side of a frame that is sent back.
_SHOWN = 640
#: Frames a second that a browser is expected to send.
FPS = 8.0


@dataclass(frozen=True, eq=False)
class LiveAnswer:
    """An answered frame.

    Args:
        result: The faces, with ``track_id`` and smoothed probabilities.
        picture: JPEG, the frame with boxes and labels.
        fps: Frames answered per second, over the last two seconds.
        read_ms: How long reading this frame took here.
    """

    result: ImageResult
    picture: bytes
    fps: float
    read_ms: float


class LiveReader:
    """Tracks the faces of a visitor's camera.

    Of frames that come faster than they are answered the page sends the latest only.

    Args:
        model: Which model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._video = self._fresh()
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def _fresh(self) -> VideoRecognizer:
        config = VideoConfig(detect_every=1, confirm=2)
        return VideoRecognizer(self.model.recognizer, config, fps=FPS)

    def read(self, frame: bytes) -> LiveAnswer:
        """Reads a frame.

        Args:
            frame: The bytes of an image file.

        Raises:
            InputError: If it cannot be read.
        """
        with self._lock:
            start = time.monotonic()
            if self._times and start - self._times[-1] > _GAP_S:
                self._video = self._fresh()
                self._times.clear()
            image_rgb = decode(frame, limits=self.model.recognizer.pipeline.limits)
            tracked_faces = self._video.read(image_rgb, start)
            size = (image_rgb.shape[1], image_rgb.shape[0])
            faces = [tracked_face.face for tracked_face in tracked_faces]
            result = self._video.result(faces, source="camera", size=size)
            now = time.monotonic()
            return LiveAnswer(
                result, to_jpeg(result.draw(image_rgb), _SHOWN), self._rate(now),
                (now - start) * 1000,
            )  # fmt: skip

    def _rate(self, now: float) -> float:
        times = self._times
        times.append(now)
        while now - times[0] > _RATE_S:
            times.popleft()
        return (len(times) - 1) / (now - times[0]) if len(times) > 1 else 0.0
