"""Live: the latest frame wins, so that answers are about now however slow the model is."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.errors import InputError
from mien.recognizer import EmotionRecognizer
from mien.video.config import VideoConfig
from mien.video.following import VideoRecognizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from mien.results import ImageResult
    from mien.video.following import TrackedFace

#: Seconds over which the frame rate is averaged, and after which a silent camera is given up.
_RATE_S, _SILENT_S = 2.0, 10.0


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The newest frame of a source.

    Args:
        image_rgb: uint8 (H, W, 3).
        time_s: When it came, on ``time.monotonic``'s clock.
        dropped: Frames that came and went unseen before it, in all.
    """

    image_rgb: NDArray[np.uint8]
    time_s: float
    dropped: int


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """An answered frame of a camera.

    Args:
        result: The faces, with ``track_id`` and smoothed probabilities.
        tracked_faces: The same with what is known of them; see :class:`mien.video.TrackedFace`.
        image_rgb: uint8 (H, W, 3), the frame.
        fps: Frames answered a second, of late.
        latency_ms: From the frame's arrival to its answer.
        dropped: Frames dropped since the start, so that none had to wait.
    """

    result: ImageResult
    tracked_faces: tuple[TrackedFace, ...]
    image_rgb: NDArray[np.uint8]
    fps: float
    latency_ms: float
    dropped: int


class LatestFrame:
    """Reads a source in a thread and keeps its newest frame only.

    Frames are dropped, never queued: whoever asks gets the newest one that it has not seen. Use
    it as a context manager, or call :meth:`close`.

    Args:
        frames: Pictures, uint8 (H, W, 3), as fast as they come.
    """

    def __init__(self, frames: Iterable[NDArray[np.uint8]]) -> None:
        self._frames = frames
        self._changed = threading.Condition()
        self._image: NDArray[np.uint8] | None = None
        self._time_s, self._dropped = 0.0, 0
        self._ended, self._stop = False, False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="mien-camera", daemon=True)
        self._thread.start()

    def __enter__(self) -> LatestFrame:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, timeout_s: float = _SILENT_S) -> Snapshot | None:
        """Waits for a frame that was not handed out yet; None at the source's end.

        Raises:
            InputError: If none came in time. What the source raised is raised here, too, after
                its last frame.
        """
        with self._changed:
            ready = self._changed.wait_for(
                lambda: self._image is not None or self._ended, timeout_s
            )
            if not ready:
                raise InputError(
                    f"no picture for {timeout_s:g} s: see that the camera is on and that no other "
                    "program uses it."
                )
            image, self._image = self._image, None
            if image is not None:
                return Snapshot(image, self._time_s, self._dropped)
            if self._error is not None:
                raise self._error
            return None

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
                    self._dropped += self._image is not None
                    self._image, self._time_s = image_rgb, time.monotonic()
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


def track_live(
    frames: Iterable[NDArray[np.uint8]],
    *,
    recognizer: EmotionRecognizer | None = None,
    config: VideoConfig | None = None,
    source: str = "camera",
) -> Iterator[LiveFrame]:
    """Follows the faces of a source that does not wait, for example a camera.

    The delay stays that of one frame, however slow the model: frames that came in the meantime
    are dropped.

    Args:
        frames: Pictures, uint8 (H, W, 3), as fast as they come, for example those of
            :func:`mien.video.camera_frames`.
        recognizer: Model and detector; None: the default ones.
        config: How to detect and smooth; ``fps`` is the most frames a second to answer.
        source: What to call it in results.

    Yields:
        Each answered frame, until the source ends.

    Raises:
        InputError: If the source fails or falls silent, or a frame is no picture.
    """
    config = config or VideoConfig()
    # How fast it will go is not known yet: tracks need as many detections as asked for.
    follower = VideoRecognizer(recognizer or EmotionRecognizer(), config)
    times: deque[float] = deque()
    start: float | None = None
    with LatestFrame(frames) as latest:
        while (shot := latest.get()) is not None:
            start = shot.time_s if start is None else start
            tracked_faces = follower.read(shot.image_rgb, shot.time_s - start)
            now = time.monotonic()
            times.append(now)
            while now - times[0] > _RATE_S:
                times.popleft()
            fps = (len(times) - 1) / (now - times[0]) if len(times) > 1 else 0.0
            size = (shot.image_rgb.shape[1], shot.image_rgb.shape[0])
            result = follower.result([s.face for s in tracked_faces], source=source, size=size)
            latency_ms = (now - shot.time_s) * 1000
            yield LiveFrame(
                result, tuple(tracked_faces), shot.image_rgb, fps, latency_ms, shot.dropped
            )
            if config.fps:
                time.sleep(max(shot.time_s + 1 / config.fps - time.monotonic(), 0.0))
