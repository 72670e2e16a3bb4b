"""From the pieces of a run to its results."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from mien.atomic import replacing, write_text
from mien.results import SCHEMA_VERSION
from mien.video.encoding import join_pieces
from mien.video.picture import MAX_BANDS, bin_timeline, check_picture, draw_timeline
from mien.video.subtitles import subtitles
from mien.video.summary import Summarizer, TrackSummary
from mien.video.timeline import join_timelines, read_timeline, timeline_header, write_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from mien.recognizer import EmotionRecognizer
    from mien.video.clip import Clip
    from mien.video.config import VideoConfig
    from mien.video.parts import Parts, Progress

#: Files of the results, in the order they appear; the summary ends a run.
FILES = (
    "annotated.mp4", "timeline.csv", "timeline.parquet", "timeline.png", "subtitles.srt",
    "summary.json",
)  # fmt: skip
#: Seconds that may be missing at the end before a clip counts as broken off.
_SLACK_S = 1.0
#: Seconds between two rows of a face (or three frames) from which it was out of sight.
_UNSEEN_S = 0.25


@dataclass(frozen=True)
class VideoSummary:
    """What was found in a clip; ``summary.json`` is :meth:`to_dict`.

    Args:
        source: Name of the clip's file.
        width: Pixels, upright.
        height: Pixels, upright.
        fps: Average frames per second.
        duration_s: Length of what could be read.
        complete: The clip did not break off before the length that it states.
        frames: Frames, where an annotated copy was written; else those that were read.
        frames_read: Frames that were searched or read for faces.
        model: Name of the model.
        detector: Name of the detector.
        labels: The labels, in order.
        tracks: One entry per face.
        config: The settings.
    """

    source: str
    width: int
    height: int
    fps: float
    duration_s: float
    complete: bool
    frames: int
    frames_read: int
    model: str
    detector: str
    labels: tuple[str, ...]
    tracks: tuple[TrackSummary, ...]
    config: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"schema_version": SCHEMA_VERSION, **plain}


@dataclass(frozen=True)
class VideoResult:
    """The results of a clip.

    Args:
        summary: What was found.
        files: Path by name, of those that were written.
    """

    summary: VideoSummary
    files: dict[str, Path]


def finish(
    folder: Path,
    clip: Clip,
    parts: Parts,
    state: Progress,
    *,
    recognizer: EmotionRecognizer,
    config: VideoConfig,
) -> VideoResult:
    """Joins the pieces, sums them up, and removes them.

    Raises:
        MissingExtraError: If a picture is wanted and matplotlib is not installed.
    """
    numbers, labels = range(len(state.pieces)), recognizer.labels
    if config.annotate:
        pieces = [(parts.piece(number), state.pieces[number]) for number in numbers]
        join_pieces(folder / "annotated.mp4", pieces, clip)
    timeline = folder / "timeline.csv"
    join_timelines(timeline, (parts.rows(number) for number in numbers), timeline_header(labels))
    write_parquet(folder / "timeline.parquet", timeline)
    frame_s = 1.0 / min(config.fps or clip.fps, clip.fps)
    summarizer = Summarizer(labels, gap_s=max(_UNSEEN_S, 3 * frame_s), frame_s=frame_s)
    for row in read_timeline(timeline):
        summarizer.add(row)
    duration_s = state.end_s + 1.0 / clip.fps
    tracks = (  # the steps of uneven frames may add up to a little more than there is
        replace(track, seen_s=min(track.seen_s, round(duration_s, 3)))
        for track in summarizer.tracks()
    )
    summary = VideoSummary(
        source=clip.path.name, width=clip.width, height=clip.height, fps=round(clip.fps, 4),
        duration_s=round(duration_s, 3),
        complete=clip.duration_s is None or duration_s >= clip.duration_s - _SLACK_S,
        frames=state.frames, frames_read=state.frames_read, model=recognizer.config.name,
        detector=recognizer.pipeline.detector.name, labels=labels, tracks=tuple(tracks),
        config=config.to_dict(),
    )  # fmt: skip
    if config.picture:
        _draw(folder / "timeline.png", timeline, summary, parts, frame_s=frame_s)
    if config.srt:
        with (
            replacing(folder / "subtitles.srt") as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as stream,
        ):
            stream.writelines(subtitles(read_timeline(timeline), frame_s=frame_s))
    write_text(folder / "summary.json", json.dumps(summary.to_dict(), indent=1) + "\n")
    parts.clear()
    return VideoResult(summary, {n: folder / n for n in FILES if (folder / n).exists()})


def _draw(
    path: Path, timeline: Path, summary: VideoSummary, parts: Parts, *, frame_s: float
) -> None:
    check_picture()
    longest = sorted(summary.tracks, key=lambda track: -track.seen_s)[:MAX_BANDS]
    shown = sorted(longest, key=lambda track: track.track_id)
    numbers = [track.track_id for track in shown]
    edges_s, shares = bin_timeline(
        read_timeline(timeline), numbers, classes=len(summary.labels),
        duration_s=summary.duration_s, frame_s=frame_s,
    )  # fmt: skip
    left_out = len(summary.tracks) - len(shown)
    title = summary.source + (f" (the {MAX_BANDS} longest seen of {len(summary.tracks)} faces)"
                              if left_out else "")  # fmt: skip
    draw_timeline(
        path, shown, edges_s, shares, labels=summary.labels, title=title,
        portraits={number: parts.portrait(number) for number in numbers},
    )  # fmt: skip
