from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mien import EmotionRecognizer, InputError
from mien.video import LatestFrame, VideoConfig, camera_frames, track_live
from video.clips_made import ColorFaces, crossing, write_clip

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


def test_fast_reader_gets_each_frame_once() -> None:
    gate = threading.Semaphore(0)

    def frames() -> Iterator[np.ndarray]:
        for number in range(5):
            gate.acquire()
            yield np.full((4, 4, 3), number, np.uint8)

    with LatestFrame(frames()) as latest:
        for number in range(5):
            gate.release()
            shot = latest.get(5.0)
            assert shot is not None
            assert int(shot.image_rgb[0, 0, 0]) == number
            assert shot.dropped == 0
        assert latest.get(5.0) is None
        assert latest.get(5.0) is None


def test_silent_camera_is_given_up() -> None:
    stop = threading.Event()

    def frames() -> Iterator[np.ndarray]:
        stop.wait(20)
        yield np.zeros((4, 4, 3), np.uint8)

    latest = LatestFrame(frames())
    with pytest.raises(InputError, match=r"no picture for 0\.05 s"):
        latest.get(0.05)
    stop.set()
    latest.close()


def test_unplugged_camera_is_named_after_its_last_frame() -> None:
    def frames() -> Iterator[np.ndarray]:
        yield np.zeros((40, 40, 3), np.uint8)
        raise InputError("camera 0 gives no more pictures: see that it is plugged in.")

    recognizer = EmotionRecognizer(detector=ColorFaces(), threads=1)
    stream = track_live(frames(), recognizer=recognizer)
    assert next(stream).result.faces == ()
    with pytest.raises(InputError, match="plugged in"):
        next(stream)


def test_missing_camera_says_which_there_are() -> None:
    with pytest.raises(InputError, match="camera 97"):
        next(camera_frames("97"))
    with pytest.raises(InputError, match=r"camera /dev/null cannot be read|there is no"):
        next(camera_frames("/dev/null"))


def test_clip_plays_at_its_own_speed(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", crossing(10), fps=25)
    start = time.monotonic()
    assert sum(1 for _ in camera_frames(str(clip))) == 10
    assert time.monotonic() - start >= 9 / 25
