"""A clip in, a folder of results out; stopped runs go on where they were."""

from __future__ import annotations

import errno
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.detectors import crop_box
from mien.errors import ConfigError, MienError
from mien.preprocess import Preprocessing, crop_faces
from mien.recognizer import EmotionRecognizer
from mien.video.config import VideoConfig
from mien.video.encoding import PieceWriter
from mien.video.finishing import FILES, VideoResult, finish
from mien.video.parts import PARTS, Parts, Progress, identity_of
from mien.video.picture import check_picture
from mien.video.reading import ahead, import_av, open_clip, read_frames
from mien.video.recognizer import VideoRecognizer
from mien.video.timeline import timeline_row
from mien.video.tracker import KalmanTracker

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from mien.results import FaceEmotion
    from mien.video.clip import Clip, Frame
    from mien.video.recognizer import TrackedFace
    from mien.video.tracker import Tracker

#: Frames that wait before and behind the network, at most.
_AHEAD, _BEHIND = 4, 6
_PORTRAIT = Preprocessing(size=96, color="rgb")
_BETTER = 1.5


def read_video(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    recognizer: EmotionRecognizer | None = None,
    config: VideoConfig | None = None,
    tracker: Tracker | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> VideoResult:
    """Reads the faces of a clip and writes what it found into a folder.

    ``annotated.mp4``, ``timeline.csv`` (and ``timeline.parquet`` where pyarrow is installed),
    ``timeline.png``, ``summary.json`` and, with ``srt``, ``subtitles.srt``.
    A run that was stopped goes on when it is started again with the same arguments, and ends
    with the same files. Memory does not grow with the length of the clip.

    Args:
        source: The clip.
        output: The folder; it is made.
        recognizer: Model and detector; None: the default ones.
        config: How to read; None: the defaults.
        tracker: What numbers the faces; None: a :class:`mien.video.KalmanTracker`.
        overwrite: Replace the results of an earlier run, and start from the beginning.
        progress: Is called with the frames done and the frames in all (None: not known).

    Returns:
        The summary and the files.

    Raises:
        InputError: If the clip cannot be read.
        ConfigError: If the folder holds results, or an unfinished run with other settings.
        MissingExtraError: If PyAV is not installed, or matplotlib and a picture is wanted.
        MienError: If the results cannot be written, for example because the disk is full.
    """
    config = config or VideoConfig()
    clip = open_clip(source, max_pixels=config.max_pixels)
    if config.picture:
        check_picture()
    folder = Path(output)
    _check_folder(folder, overwrite=overwrite)
    recognizer = recognizer or EmotionRecognizer()
    name = (tracker or KalmanTracker).name
    parts = Parts(folder, identity_of(clip, recognizer, config, name))
    rate = min(config.fps or clip.fps, clip.fps)
    video = VideoRecognizer(recognizer, config, fps=rate, tracker=tracker)
    with writing(folder):
        state = parts.begin(overwrite=overwrite)
        if state.faces is not None:
            video.restore(state.faces)
        _Run(clip, video, parts, state).work(progress)
        return finish(folder, clip, parts, state, recognizer=recognizer, config=config)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns a full disk and its like into an error that says what to do."""
    av = import_av()
    try:
        yield
    except (OSError, av.error.FFmpegError) as error:
        if isinstance(error, MienError):
            raise
        full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        reason = getattr(error, "strerror", None) or str(error)
        advice = "free some space" if full else "see that the folder can be written"
        raise MienError(
            f"cannot be written: {reason}",
            subject=folder,
            hint=f"What is finished stays in it; {advice} and type the same command, and it goes "
            "on from there.",
        ) from error


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError("is a file", subject=folder, hint="Give a folder for the results.")
    there = [name for name in FILES if (folder / name).exists()]
    # A run that was stopped while it joined its pieces left some of them; it does so again.
    if there and not overwrite and not (folder / PARTS).is_dir():
        raise ConfigError(
            "exists already", subject=folder / there[0],
            hint="Type --overwrite, or give another folder.",
        )  # fmt: skip
    if overwrite:
        for name in there:
            (folder / name).unlink()


class _Run:
    """The work of one call, piece by piece."""

    def __init__(self, clip: Clip, video: VideoRecognizer, parts: Parts, state: Progress) -> None:
        self._clip, self._video, self._parts, self._state = clip, video, parts, state
        self._config = video.config
        self._rows: list[list[Any]] = []
        self._faces: dict[int, NDArray[np.uint8]] = {}
        self._last: Frame | None = None
        self._first_pts = 0
        self._writer: PieceWriter | None = None
        self._waiting: deque[Future[None]] = deque()

    def work(self, progress: Callable[[int, int | None], None] | None) -> None:
        """Reads all that is not done yet."""
        clip, config, state = self._clip, self._config, self._state
        frames = read_frames(
            clip, fps=config.fps, shown=config.annotate, after=state.mark,
            max_pixels=config.max_pixels,
        )  # fmt: skip
        piece, total = -1, clip.frames
        if total is None and clip.duration_s is not None:
            total = max(round(clip.duration_s * clip.fps), 1)
        with (
            closing(ahead(frames, _AHEAD)) as stream,
            ThreadPoolExecutor(1, thread_name_prefix="mien-encode") as encoder,
        ):
            try:
                for frame in stream:
                    now = int(frame.time_s / config.segment_s)
                    if self._last is not None and now != piece:
                        self._save()
                    piece = now
                    self._frame(frame, encoder)
                    if progress is not None:
                        progress(frame.index + 1, total)
                if self._last is not None:
                    self._save()
            except BaseException as error:
                for task in self._waiting:
                    task.cancel()
                encoder.shutdown(wait=True, cancel_futures=True)
                if self._writer is not None:
                    self._writer.discard(error)
                raise

    def _frame(self, frame: Frame, encoder: ThreadPoolExecutor) -> None:
        self._state.frames += 1
        if frame.wanted:
            self._state.frames_read += 1
            tracked_faces = self._video.read(frame.image_rgb, frame.time_s)
            self._rows += [timeline_row(frame.index, frame.time_s, item) for item in tracked_faces]
            self._portraits(frame, tracked_faces)
            faces = [item.face for item in tracked_faces]
        else:
            faces = self._video.between(frame.time_s)
        if self._config.annotate:
            if self._writer is None:
                self._writer = PieceWriter(self._parts.piece(len(self._state.pieces)), self._clip)
            while len(self._waiting) >= _BEHIND:
                self._waiting.popleft().result()
            self._waiting.append(encoder.submit(self._show, self._writer, frame, faces))
        if self._last is None:
            self._first_pts = frame.pts
        self._last = frame

    def _show(self, writer: PieceWriter, frame: Frame, faces: list[FaceEmotion]) -> None:
        image_rgb = frame.image_rgb
        if faces:
            size = (self._clip.width, self._clip.height)
            result = self._video.result(faces, source=str(self._clip.path), size=size)
            image_rgb = result.draw(image_rgb)
        writer.add(image_rgb, frame.pts)

    def _portraits(self, frame: Frame, tracked_faces: list[TrackedFace]) -> None:
        """Keeps a picture of each face; a clearly better one replaces the last."""
        height, width = frame.image_rgb.shape[:2]
        for item in tracked_faces:
            x1, y1, x2, y2 = item.face.box_xyxy
            number = item.face.track_id or 0
            inside = x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height
            value = (x2 - x1) * (y2 - y1) * item.face.detection_score * (1.0 if inside else 0.25)
            if not item.detected or value < _BETTER * self._state.portraits.get(number, 0.0):
                continue
            framing = self._video.recognizer.pipeline.detector.framing
            square = crop_box(item.face.box_xyxy, framing, margin=1.2)
            self._faces[number] = crop_faces(frame.image_rgb, square[None], _PORTRAIT)[0]
            self._state.portraits[number] = value

    def _save(self) -> None:
        """Ends the piece under way; from here on it is done."""
        while self._waiting:
            self._waiting.popleft().result()
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
        state, last = self._state, self._last
        if last is None:
            return
        state.pieces.append(self._first_pts)
        state.mark, state.end_s = last.mark(), last.time_s
        state.faces = self._video.to_state()
        self._parts.save(state, self._rows, self._faces, self._video.recognizer.labels)
        self._rows, self._faces, self._last = [], {}, None
