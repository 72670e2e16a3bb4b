"""The camera of one visitor: its faces followed, its frames answered one by one."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.demo.photo import to_jpeg
from mien.images import decode
from mien.video import VideoConfig, VideoRecognizer
from mien.video.stream import FrameRate

if TYPE_CHECKING:
    from mien.demo.photo import Model
    from mien.results import ImageResult

#: Seconds of silence after which faces are new ones.
_GAP_S = 3.0
#: Longest side of a frame that is sent back.
_SHOWN = 640
#: Frames a second that a browser is expected to send.
FPS = 8.0


@dataclass(frozen=True, eq=False)
class LiveAnswer:
    """An answered frame: its tracked faces, and the frame as JPEG.

    ``fps`` are frames answered per second over the last two; ``read_ms`` is what this one took.
    """

    result: ImageResult
    picture: bytes
    fps: float
    read_ms: float


class LiveReader:
    """Tracks the faces of a visitor's camera; the page skips frames that come too fast."""

    def __init__(self, model: Model) -> None:
        self.model, self._last = model, 0.0
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        config = VideoConfig(detect_every=1, confirm=2)
        self._video = VideoRecognizer(self.model.recognizer, config, fps=FPS)
        self._rate = FrameRate()

    def read(self, frame: bytes) -> LiveAnswer:
        """Reads a frame, the bytes of an image file."""
        with self._lock:
            start = time.monotonic()
            if start - self._last > _GAP_S:
                self._begin()
            image_rgb = decode(frame, limits=self.model.recognizer.pipeline.limits)
            tracked_faces = self._video.read(image_rgb, start)
            size = (image_rgb.shape[1], image_rgb.shape[0])
            faces = [tracked_face.face for tracked_face in tracked_faces]
            result = self._video.result(faces, source="camera", size=size)
            now = self._last = time.monotonic()
            picture = to_jpeg(image_rgb, _SHOWN)
            return LiveAnswer(result, picture, self._rate.tick(now), (now - start) * 1000)
