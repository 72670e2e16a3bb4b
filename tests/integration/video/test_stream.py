from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mien import EmotionRecognizer
from mien.video import VideoConfig, track_live
from support.clips import ColorFaces

if TYPE_CHECKING:
    from mien.detectors import Detections


class SlowFaces(ColorFaces):
    """Needs four frames' time for one."""

    def detect(self, image_rgb: np.ndarray, **options: object) -> Detections:
        time.sleep(4 / 30)
        return super().detect(image_rgb, **options)  # type: ignore[arg-type]


class Camera:
    """Gives a picture every thirtieth of a second, taken or not; each shows its number."""

    def __init__(self, count: int) -> None:
        self._count, self.number = count, -1

    def __iter__(self) -> Iterator[np.ndarray]:
        start = time.monotonic()
        for number in range(self._count):
            time.sleep(max(start + number / 30 - time.monotonic(), 0))
            image_rgb = np.zeros((90, 160, 3), np.uint8)
            image_rgb[20:68, 40:88] = (200, 40, 40)
            image_rgb[0, 0] = number
            self.number = number
            yield image_rgb


def test_slow_model_drops_frames_and_stays_in_the_present() -> None:
    camera = Camera(75)
    recognizer = EmotionRecognizer(detector=SlowFaces(), threads=1)
    config = VideoConfig(detect_every=1, confirm=2)
    answered, behind = [], []
    for frame in track_live(camera, recognizer=recognizer, config=config):
        answered.append(int(frame.image_rgb[0, 0, 0]))
        behind.append(camera.number - answered[-1])
        assert frame.latency_ms > 4 / 30 * 1000
        shown = len(answered) + frame.dropped
        assert abs(shown - answered[-1] - 1) <= 0, "every frame was answered or dropped"
    assert answered == sorted(set(answered))
    assert answered[-1] == 74, "the newest one is answered at last"
    assert len(answered) < 25
    # A queue would be some fifty frames behind by now.
    assert np.median(behind[len(behind) // 2 :]) <= 12
    assert frame.result.faces[0].track_id == 1
    assert 0 < frame.fps < 8
