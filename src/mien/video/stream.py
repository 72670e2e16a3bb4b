"""Frame by frame: a clip to its end, or a camera, of which the latest frame wins.

With a camera, answers are about now however slow the model is: frames are dropped, never queued.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import InputError
from mien.images.guard import kind_of
from mien.recognizer import EmotionRecognizer
from mien.video.config import VideoConfig, is_video_name
from mien.video.reading import (
    AHEAD,
    Tally,
    ahead,
    check_one,
    import_av,
    open_clip,
    read_frames,
    reason_of,
)
from mien.video.recognizer import TrackedFace, VideoRecognizer

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from mien.arrays import U8
    from mien.results import ImageResult
    from mien.video.tracker import Tracker

_LOG = logging.getLogger(__name__)
#: FFmpeg's name for cameras, and how it calls camera 0, by ``sys.platform``.
_DEVICES = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
#: Seconds over which the frame rate is averaged, and after which a silent camera is given up.
_RATE_S, _SILENT_S = 2.0, 10.0


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame that was read.

    Args:
        result: The faces, with ``track_id`` and smoothed probabilities.
        tracked_faces: The same with what is known of them; see :class:`mien.video.TrackedFace`.
        image_rgb: uint8 (H, W, 3), the frame.
        time_s: Seconds from the start of the clip, or from the camera's first frame.
        fps: Frames read per second, over the last two seconds.
        latency_ms: From the frame's arrival to its answer.
        dropped: Frames of a camera dropped since the start, so that none had to wait.
    """

    result: ImageResult
    tracked_faces: tuple[TrackedFace, ...]
    image_rgb: U8
    time_s: float
    fps: float
    latency_ms: float
    dropped: int


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The newest frame of a source: uint8 (H, W, 3).

    ``time_s`` is when it came, on ``time.monotonic``'s clock; ``dropped`` is how many frames came
    and went unread before it, in all.
    """

    image_rgb: U8
    time_s: float
    dropped: int


class FrameRate:
    """Measures frames per second over the last two seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def tick(self, now: float) -> float:
        """Counts a frame at a time in seconds; returns the rate, 0 at the first one."""
        times = self._times
        times.append(now)
        while now - times[0] > _RATE_S:
            times.popleft()
        return (len(times) - 1) / (now - times[0]) if len(times) > 1 else 0.0


class LatestFrame:
    """Reads a source in a thread and keeps its newest frame only.

    Frames are dropped, never queued: :meth:`get` gives the newest one that it has not given yet.
    Use it as a context manager, or call :meth:`close`.

    Args:
        frames: Pictures, uint8 (H, W, 3), as fast as they come.
    """

    def __init__(self, frames: Iterable[U8]) -> None:
        self._frames = frames
        self._changed = threading.Condition()
        self._newest: Snapshot | None = None
        self._dropped, self._ended, self._stop = 0, False, False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="mien-camera", daemon=True)
        self._thread.start()

    def __enter__(self) -> LatestFrame:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, timeout_s: float = _SILENT_S) -> Snapshot | None:
        """Waits for a frame that was not given yet; None at the source's end.

        Raises:
            InputError: If none came in time. What the source raised is raised here, too, after
                its last frame.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._newest or self._ended, timeout_s):
                hint = "See that the camera is on and that no other program uses it."
                raise InputError(f"no picture for {timeout_s:g} s", hint=hint)
            shot, self._newest = self._newest, None
            if shot is None and self._error is not None:
                raise self._error
            return shot

    def close(self) -> None:
        """Stops reading; the thread ends with the frame under way."""
        self._stop = True
        self._thread.join(timeout=2.0)

    def _read(self) -> None:
        try:
            for image_rgb in self._frames:
                if self._stop:
                    break
                with self._changed:
                    self._dropped += self._newest is not None
                    self._newest = Snapshot(image_rgb, time.monotonic(), self._dropped)
                    self._changed.notify()
        except BaseException as error:  # noqa: BLE001 - it is raised where frames are taken
            self._error = error
        finally:
            close = getattr(self._frames, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._ended = True
                self._changed.notify()


def camera_frames(device: str) -> Iterator[U8]:
    """Yields the pictures of a camera, or of a clip at the speed it was taken.

    Args:
        device: A camera's number from 0, a device's path or name as FFmpeg calls it, an address
            (``rtsp://…``), or a clip's file.

    Raises:
        InputError: If there is no such camera, it cannot be opened, or it goes away.
        MissingExtraError: If PyAV is not installed.
    """
    if _is_clip(device) and Path(device).is_file():
        start = time.monotonic()
        for frame in read_frames(open_clip(device)):
            time.sleep(max(start + frame.time_s - time.monotonic(), 0.0))
            yield frame.image_rgb
        return
    av = import_av()
    name, kind = _camera_name(device)
    try:
        with av.open(name, format=kind) as container:
            for picture in container.decode(video=0):
                yield picture.to_ndarray(format="rgb24")
    except (av.error.FFmpegError, OSError, IndexError) as error:
        reason = f"camera {device} cannot be read: {reason_of(error)}"
        hint = "See that it is plugged in and that no other program uses it."
        raise InputError(reason, hint=hint) from error
    raise InputError(f"camera {device} gives no more pictures: see that it is plugged in.")


def _is_clip(name: str) -> bool:
    return is_video_name(name) or kind_of(name) == "clip"


def _camera_name(device: str) -> tuple[str, str | None]:
    """Returns FFmpeg's file name and format of a camera."""
    if "://" in device:
        return device, None
    platform = "linux" if sys.platform.startswith("linux") else sys.platform
    kind, pattern = _DEVICES.get(platform, ("dshow", "video={}"))
    name = pattern.format(device) if device.isdigit() else device
    if kind == "v4l2" and not Path(name).exists():
        there = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
        raise InputError(f"camera {device}: there is no {name}", hint=f"Cameras here: {there}.")
    return name, kind


def predict_video(
    source: str | os.PathLike[str] | int,
    *,
    recognizer: EmotionRecognizer | None = None,
    config: VideoConfig | None = None,
    tracker: Tracker | None = None,
) -> Iterator[VideoFrame]:
    """Tracks the faces of a clip or camera, frame by frame.

    Args:
        source: A clip's file; or a camera: its number from 0, its path or name as FFmpeg calls
            it, or an address (``rtsp://…``). Every frame of a clip is read; of a camera, frames
            that come while another one is read are dropped.
        recognizer: Model and detector; None: the default ones.
        config: How to detect and smooth; ``fps`` is the most frames per second to read.
        tracker: What numbers the faces; None: a :class:`mien.video.KalmanTracker`.

    Yields:
        Each frame that was read, until the source ends. A clip that turns out not to be whole is
        logged then.

    Raises:
        InputError: If the source cannot be read, fails or falls silent.
        MissingExtraError: If PyAV is not installed.

    >>> frames = list(mien.predict_video("clip.mp4"))
    >>> len(frames), frames[-1].result.faces[0].emotion
    (12, 'happiness')
    """
    check_one(source)
    name, config = str(source), config or VideoConfig()
    recognizer = recognizer or EmotionRecognizer()
    if not _is_clip(name) or "://" in name:
        yield from track_live(
            camera_frames(name), recognizer=recognizer, config=config, source=f"camera {name}",
            tracker=tracker,
        )  # fmt: skip
        return
    clip = open_clip(name, max_pixels=config.max_pixels)
    video = VideoRecognizer(recognizer, config, fps=clip.rate(config.fps), tracker=tracker)
    tally = Tally()
    frames = read_frames(clip, fps=config.fps, shown=False, tally=tally)
    with closing(ahead(frames, AHEAD)) as stream:
        shots = ((Snapshot(f.image_rgb, time.monotonic(), 0), f.time_s) for f in stream)
        yield from _answers(video, shots, name)
    if not tally.is_whole(clip):
        _LOG.warning("note: %s: %s", name, tally.loss())


def track_live(
    frames: Iterable[U8],
    *,
    recognizer: EmotionRecognizer | None = None,
    config: VideoConfig | None = None,
    source: str = "camera",
    tracker: Tracker | None = None,
) -> Iterator[VideoFrame]:
    """Tracks the faces of a source that does not wait, for example a camera.

    The delay stays that of one frame, however slow the model: frames that came in the meantime
    are dropped. For what is not said here see :func:`predict_video`.

    Args:
        frames: Pictures, uint8 (H, W, 3), as fast as they come, for example those of
            :func:`mien.video.camera_frames`.
        recognizer: Model and detector; None: the default ones.
        config: How to detect and smooth; ``fps`` is the most frames per second to read.
        source: What to call it in results.
        tracker: What numbers the faces.

    Raises:
        InputError: If the source fails or falls silent, or a frame is no picture.
    """
    config = config or VideoConfig()
    # How fast it will go is not known yet: tracks need as many detections as the settings say.
    video = VideoRecognizer(recognizer or EmotionRecognizer(), config, tracker=tracker)
    with LatestFrame(frames) as latest:

        def shots() -> Iterator[tuple[Snapshot, float]]:
            start: float | None = None
            while (shot := latest.get()) is not None:
                start = shot.time_s if start is None else start
                yield shot, shot.time_s - start
                if config.fps:
                    time.sleep(max(shot.time_s + 1 / config.fps - time.monotonic(), 0.0))

        yield from _answers(video, shots(), source)


def _answers(
    video: VideoRecognizer, shots: Iterable[tuple[Snapshot, float]], source: str
) -> Iterator[VideoFrame]:
    rate = FrameRate()
    for shot, time_s in shots:
        tracked = video.read(shot.image_rgb, time_s)
        now = time.monotonic()
        fps = rate.tick(now)
        size = (shot.image_rgb.shape[1], shot.image_rgb.shape[0])
        result = video.result([item.face for item in tracked], source=source, size=size)
        latency_ms = (now - shot.time_s) * 1000
        yield VideoFrame(
            result, tuple(tracked), shot.image_rgb, time_s, fps, latency_ms, shot.dropped
        )
