from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mien import EmotionRecognizer, InputError
from mien.video import LatestFrame, camera_frames, track_live
from support.clips import ColorFaces, crossing, write_clip


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
