"""A clip in, a folder of results out; stopped runs go on where they were."""

from __future__ import annotations

import json
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.atomic import is_full, replacing, write_text
from mien.detectors import crop_box
from mien.errors import ConfigError, DetectorError, MienError, import_extra
from mien.preprocess import Preprocessing, crop_faces
from mien.recognizer import EmotionRecognizer
from mien.reporting.theme import DARK, LIGHT
from mien.results.annotation import draw_faces
from mien.video.config import VideoConfig
from mien.video.encoding import PieceWriter, join_pieces
from mien.video.lookback import Lookback, Waiting
from mien.video.parts import PARTS, Parts, Progress, identity_of
from mien.video.picture import draw_picture
from mien.video.reading import AHEAD, Tally, ahead, import_av, open_clip, read_frames, reason_of
from mien.video.recognizer import TrackedFace, VideoRecognizer
from mien.video.summary import Summarizer, VideoResult, VideoSummary, VideoWarning
from mien.video.timeline import (
    interval_header,
    interval_rows,
    join_timelines,
    read_timeline,
    subtitles,
    timeline_header,
    timeline_row,
    write_parquet,
    write_rows,
)
from mien.video.tracker import KalmanTracker, Tracker

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from mien.arrays import U8
    from mien.results import FaceEmotion
    from mien.video.reading import Clip, Frame

#: Files of the results, in the order they appear; the summary ends a run.
FILES = (
    "annotated.mp4", "timeline.csv", "timeline.parquet", "timeline.png", "timeline-dark.png",
    "intervals.csv", "intervals.parquet", "subtitles.srt", "summary.json",
)  # fmt: skip
#: Seconds between two rows of a face (or three frames) from which it was out of sight.
_UNSEEN_S = 0.25
#: Seconds by which a piece may last longer, at most.
_LATE_S = 1.0
#: Frames that wait to be written, at most.
_BEHIND = 6
#: Portraits of faces; a new one must be that much better than the last.
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
    ``timeline.png``, ``summary.json``; with ``every_s`` ``intervals.csv`` (and Parquet), with
    ``srt`` ``subtitles.srt``.
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
        DetectorError: If the detector fails on each of the first frames.
        ConfigError: If the folder holds results, or an unfinished run with other settings.
        MissingExtraError: If PyAV is not installed, or matplotlib and a picture is wanted.
        MienError: If the results cannot be written, for example because the disk is full.
    """
    config = config or VideoConfig()
    clip = open_clip(source, max_pixels=config.max_pixels)
    if config.picture:
        import_extra("matplotlib", "the picture of a timeline", "eval")
    folder = Path(output)
    _check_folder(folder, overwrite=overwrite)
    recognizer = recognizer or EmotionRecognizer()
    name = (tracker or KalmanTracker).name
    parts = Parts(folder, identity_of(clip, recognizer, config, name))
    video = VideoRecognizer(recognizer, config, fps=clip.rate(config.fps), tracker=tracker)
    with writing(folder):
        state = parts.begin(overwrite=overwrite)
        if state.faces is not None:
            video.restore(state.faces)
        run = _Run(clip, video, parts, state)
        run.work(progress)
        return run.finish(folder)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns a full disk and its like into an error that says what to do."""
    av = import_av()
    try:
        yield
    except (OSError, av.error.FFmpegError) as error:
        advice = "free some space" if is_full(error) else "see that the folder can be written"
        raise MienError(
            f"cannot be written: {reason_of(error)}",
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
        self._tally, self._damaged = Tally(), state.damaged
        self._rows: list[list[Any]] = []
        self._faces: dict[int, U8] = {}
        #: Time of the first frame of the piece under way, and its last frame.
        self._piece: tuple[int, Frame] | None = None
        self._writer: PieceWriter | None = None
        self._waiting: deque[Future[None]] = deque()
        self._lookback = Lookback(video, video.delay)

    def work(self, progress: Callable[[int, int | None], None] | None) -> None:
        """Reads all that is not done yet."""
        clip, config = self._clip, self._video.config
        state = self._state
        frames = read_frames(
            clip, fps=config.fps, shown=config.annotate, after=state.mark, tally=self._tally
        )
        total = clip.frames
        if total is None and clip.duration_s is not None:
            total = max(round(clip.duration_s * clip.fps), 1)
        with (
            closing(ahead(frames, AHEAD)) as stream,
            ThreadPoolExecutor(1, thread_name_prefix="mien-encode") as encoder,
        ):
            try:
                end_s: float | None = None
                for frame in stream:
                    # A piece does not end while somebody may still get a number.
                    wait_s = _LATE_S if self._lookback.is_open else 0.0
                    if end_s is not None and frame.time_s >= end_s + wait_s:
                        self._end_piece(encoder)
                        end_s = None
                    if end_s is None:
                        end_s = (int(frame.time_s / config.segment_s) + 1) * config.segment_s
                    self._state.frames += 1
                    self._state.frames_read += frame.wanted
                    for done in self._lookback.push(frame):
                        self._write(done, encoder)
                    if progress is not None:
                        progress(frame.index + 1, total)
                if end_s is not None:
                    self._end_piece(encoder)
            except BaseException as error:
                encoder.shutdown(wait=True, cancel_futures=True)
                if self._writer is not None:
                    self._writer.discard(error)
                raise

    def _end_piece(self, encoder: ThreadPoolExecutor) -> None:
        for done in self._lookback.flush():
            self._write(done, encoder)
        self._save()

    def _write(self, done: Waiting, encoder: ThreadPoolExecutor) -> None:
        frame = done.frame
        self._rows += [timeline_row(frame.index, frame.time_s, item) for item in done.tracked_faces]
        self._portraits(frame, done.tracked_faces)
        if self._video.config.annotate:
            if self._writer is None:
                self._writer = PieceWriter(self._parts.piece(len(self._state.pieces)), self._clip)
            while len(self._waiting) >= _BEHIND:
                self._waiting.popleft().result()
            self._waiting.append(encoder.submit(self._show, self._writer, frame, done.faces))
        self._piece = (self._piece[0] if self._piece else frame.pts, frame)

    def _show(self, writer: PieceWriter, frame: Frame, faces: list[FaceEmotion]) -> None:
        image_rgb = frame.image_rgb
        if faces:
            size = (self._clip.width, self._clip.height)
            result = self._video.result(faces, source=str(self._clip.path), size=size)
            image_rgb = draw_faces(image_rgb, result, places=self._state.places)
        writer.add(image_rgb, frame.pts)

    def _portraits(self, frame: Frame, tracked_faces: list[TrackedFace]) -> None:
        """Keeps a picture of each face; a clearly better one replaces the last."""
        height, width = frame.image_rgb.shape[:2]
        framing = self._video.recognizer.pipeline.detector.framing
        for item in tracked_faces:
            x1, y1, x2, y2 = item.face.box_xyxy
            number = item.face.track_id or 0
            inside = x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height
            value = (x2 - x1) * (y2 - y1) * item.face.detection_score * (1.0 if inside else 0.25)
            if item.detected and value >= _BETTER * self._state.portraits.get(number, 0.0):
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
        assert self._piece is not None  # noqa: S101 - a piece has frames
        state, (first_pts, last), self._piece = self._state, self._piece, None
        state.pieces.append(first_pts)
        state.mark, state.end_s = last.mark(), last.time_s
        state.damaged = self._damaged + self._tally.damaged
        state.faces = self._video.to_state()
        self._parts.save(state, self._rows, self._faces, self._video.recognizer.labels)
        self._rows, self._faces = [], {}

    def finish(self, folder: Path) -> VideoResult:
        """Joins the pieces, sums them up, and removes them."""
        clip, parts, state, config = self._clip, self._parts, self._state, self._video.config
        video = self._video
        recognizer, numbers = video.recognizer, range(len(state.pieces))
        labels, frame_s = recognizer.labels, 1.0 / clip.rate(config.fps)
        warnings: list[VideoWarning] = []
        if video.failed == video.searched > 0:
            raise DetectorError(video.fault)
        if video.failed:
            count = f"{video.failed:,} of {video.searched:,} frames that were searched"
            text = f"the detector failed on {count}: {video.fault}"
            warnings.append(VideoWarning("detector", text, is_fault=True))
        if config.annotate:
            pieces = [(parts.piece(number), state.pieces[number]) for number in numbers]
            if not join_pieces(folder / "annotated.mp4", pieces, clip):
                reason = "annotated.mp4 has no sound: that of the clip is damaged, or of a kind"
                warnings.append(VideoWarning("sound", f"{reason} that MP4 cannot hold"))
        timeline = folder / "timeline.csv"
        rows = (parts.piece(number, ".csv") for number in numbers)
        join_timelines(timeline, rows, timeline_header(labels))
        tables = {"timeline": timeline}
        if config.every_s:
            tables["intervals"] = folder / "intervals.csv"
            found = interval_rows(read_timeline(timeline), labels, config.every_s)
            write_rows(tables["intervals"], interval_header(labels), found)
        written = [write_parquet(folder / f"{name}.parquet", tables[name]) for name in tables]
        if not all(written):
            text = "tables are there as CSV only: pip install pyarrow for Parquet"
            warnings.append(VideoWarning("parquet", text))
        summarizer = Summarizer(labels, gap_s=max(_UNSEEN_S, 3 * frame_s), frame_s=frame_s)
        for row in read_timeline(timeline):
            summarizer.add(row)
        tally = replace(self._tally, damaged=self._damaged + self._tally.damaged)
        duration_s = max(state.end_s, tally.time_s) + 1.0 / clip.fps
        tracks = (  # the steps of uneven frames may add up to a little more than there is
            replace(track, seen_s=min(track.seen_s, round(duration_s, 3)))
            for track in summarizer.tracks()
        )
        summary = VideoSummary(
            source=clip.path.name, width=clip.width, height=clip.height, fps=round(clip.fps, 4),
            duration_s=round(duration_s, 3),
            complete=tally.is_whole(clip),
            frames=state.frames, frames_read=state.frames_read, model=recognizer.config.name,
            detector=recognizer.pipeline.detector.name, labels=labels, tracks=tuple(tracks),
            config=config.to_dict(), frames_failed=video.failed,
        )  # fmt: skip
        if not summary.complete:
            warnings.append(VideoWarning("damaged", tally.loss(), is_fault=True))
        themes = {"timeline.png": LIGHT, "timeline-dark.png": DARK}
        for name, theme in themes.items():
            if config.picture and (theme is LIGHT or config.dark):
                draw_picture(
                    folder / name, timeline, summary, frame_s=frame_s, portrait=parts.portrait,
                    theme=theme,
                )  # fmt: skip
        if config.srt:
            with (
                replacing(folder / "subtitles.srt") as temporary,
                temporary.open("w", encoding="utf-8", newline="\n") as stream,
            ):
                stream.writelines(subtitles(read_timeline(timeline), frame_s=frame_s))
        write_text(folder / "summary.json", json.dumps(summary.to_dict(), indent=1) + "\n")
        parts.clear()
        return VideoResult(
            summary, {n: folder / n for n in FILES if (folder / n).exists()}, tuple(warnings)
        )
