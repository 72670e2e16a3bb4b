"""``mien predict`` of clips and cameras."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mien.atomic import check_new
from mien.cli import flags
from mien.cli.predict_photos import make_writer
from mien.cli.printing import Manner, failed, progress_display, remark
from mien.errors import ConfigError, DetectorError, InputError
from mien.results.wording import percent
from mien.video import is_video_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mien.recognizer import EmotionRecognizer
    from mien.video import VideoConfig, VideoFrame, VideoResult, VideoSummary


def predict_clips(
    paths: Sequence[Path],
    recognizer: EmotionRecognizer,
    config: VideoConfig,
    output: Path | None,
    how: Manner,
) -> None:
    """Reads clips one by one and prints what was found; of several, each gets a folder.

    The output may be NAME.mp4 for the annotated copy of one clip alone. Without an output nothing
    is kept. One that cannot be read is named at the end.
    """
    if output is not None and is_video_name(output):
        _check_copy(output, paths, overwrite=how.overwrite)
    else:
        flags.check_folder_name(output)
    folders = _folders(paths, output)
    table = _CsvTable(several=len(paths) > 1)
    if how.form == "table":
        print(f"{'clip':<24}  {'face':>4}  {'from':>7}  {'to':>7}  {'seen':>7}  expressions")
    faults: list[str] = []
    csv_only: set[str] = set()
    for path, folder in zip(paths, folders, strict=True):
        try:
            warnings = _predict_clip(path, recognizer, config, folder, how, table).warnings
            csv_only |= {warning.text for warning in warnings if warning.code == "parquet"}
            faults += (f"{path}: {warning.text}" for warning in warnings if warning.is_fault)
        except (InputError, DetectorError) as error:
            if len(paths) == 1 or how.on_error == "stop":
                raise
            faults.append(str(error))
    if output is not None and not is_video_name(output):  # what is not kept needs no Parquet
        for warning in csv_only:
            remark(warning)
    if faults:
        raise failed(*faults)


def predict_camera(
    device: str, recognizer: EmotionRecognizer, config: VideoConfig, form: str
) -> None:
    """Answers a camera until it is stopped: a table that changes, or a line a frame."""
    from mien.video import camera_frames, track_live

    frames = track_live(
        camera_frames(device), recognizer=recognizer, config=config, source=f"camera {device}"
    )
    if form != "table":
        write = make_writer(form, (), recognizer.labels)
        for frame in frames:
            write(frame.result)
    elif sys.stdout.isatty():
        from rich.live import Live
        from rich.text import Text

        with Live(Text("opening the camera"), refresh_per_second=10) as screen:
            for frame in frames:
                screen.update(Text(_live_line(frame)))
    else:
        shown = 0.0
        for frame in frames:
            if time.monotonic() - shown >= 1.0:
                shown = time.monotonic()
                print(_live_line(frame), flush=True)


def _check_copy(copy: Path, paths: Sequence[Path], *, overwrite: bool) -> None:
    """Refuses a file for the annotated copy that cannot be it."""
    if copy.suffix.lower() != ".mp4":
        hint = f"Name {copy.with_suffix('.mp4')}, or a folder for all results."
        raise ConfigError("must end in .mp4", subject=f"-o {copy}", hint=hint)
    if len(paths) > 1:
        raise ConfigError(
            f"is one file for {len(paths)} clips: name a folder", subject=f"-o {copy}"
        )
    if copy.resolve() == paths[0].resolve():
        raise ConfigError("would replace the clip itself: give another name", subject=f"-o {copy}")
    check_new(copy, overwrite=overwrite)


def _folders(paths: Sequence[Path], output: Path | None) -> list[Path | None]:
    if output is None or len(paths) == 1:
        return [output] * len(paths)
    folders = [output / path.stem for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        if folders.count(folder) > 1:
            reason = "and another clip would share a folder: run them one by one"
            raise ConfigError(reason, subject=path)
    return list(folders)


def _predict_clip(
    path: Path,
    recognizer: EmotionRecognizer,
    config: VideoConfig,
    folder: Path | None,
    how: Manner,
    table: _CsvTable,
) -> VideoResult:
    from mien.video import read_video
    from mien.video.reading import open_clip

    copy = folder if folder is not None and is_video_name(folder) else None
    # Next to the copy, so that it is put in its place whole or not at all.
    place = None if copy is None else copy.absolute().parent
    if place is not None and not place.is_dir():
        open_clip(path, max_pixels=config.max_pixels)  # a folder is made for what can be read
        place.mkdir(parents=True)
    temporary = tempfile.TemporaryDirectory(prefix=".mien-", dir=place)
    with temporary as name, _bar(path, quiet=how.quiet) as bar:
        if folder is None or copy is not None:
            folder = Path(name) / "results"
            config = replace(config, annotate=copy is not None, picture=False, srt=False)
        result = read_video(
            path,
            folder,
            recognizer=recognizer,
            config=config,
            overwrite=how.overwrite,
            progress=bar,
        )
        if copy is not None:
            result.files["annotated.mp4"].replace(copy)
        if how.form == "csv":
            rows = "intervals.csv" if config.every_s else "timeline.csv"
            table.print(result.files[rows], str(path))
    for warning in result.warnings:
        if warning.code != "parquet" and not warning.is_fault:
            remark(f"{path}: {warning.text}")
    if how.form == "json":
        print(json.dumps(result.summary.to_dict()), flush=True)
    elif how.form == "table":
        _print_tracks(result.summary)
    return result


class _CsvTable:
    """Prints the tables of clips as one; of several with a column ``source`` in front.

    Of several clips one without a face is a row that is empty but for its source.
    """

    def __init__(self, *, several: bool) -> None:
        self._several, self._headed = several, False

    def print(self, file: Path, source: str) -> None:
        """Prints the rows of a file, and its header the first time."""
        writer = csv.writer(sys.stdout, lineterminator="\n")
        with file.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            header = next(rows)
            if not self._headed:
                writer.writerow(["source", *header] if self._several else header)
                self._headed = True
            written = 0
            for written, row in enumerate(rows, 1):  # noqa: B007 - counted
                writer.writerow([source, *row] if self._several else row)
            if self._several and not written:
                writer.writerow([source, *[""] * len(header)])
        sys.stdout.flush()


def _print_tracks(summary: VideoSummary) -> None:
    name = summary.source if len(summary.source) <= 24 else "…" + summary.source[-23:]
    if not summary.tracks:
        print(f"{name:<24}  no face found in {summary.duration_s:.1f} s", flush=True)
    for index, track in enumerate(summary.tracks):
        ranked = sorted(track.shares.items(), key=lambda pair: -pair[1])[:3]
        shown = ", ".join(f"{label} {percent(share)}" for label, share in ranked if share >= 0.005)
        print(
            f"{'' if index else name:<24}  {track.track_id:>4}  {track.first_s:>6.1f}s  "
            f"{track.last_s:>6.1f}s  {track.seen_s:>6.1f}s  {shown}",
            flush=True,
        )


def _live_line(frame: VideoFrame) -> str:
    faces = "  ".join(
        f"#{face.track_id} {face.emotion} {percent(face.confidence)}" for face in frame.result.faces
    )
    rate = f"{frame.fps:4.1f} fps, {frame.latency_ms:3.0f} ms, {frame.dropped} dropped"
    return f"{rate}: {faces or 'no face'}"


@contextmanager
def _bar(path: Path, *, quiet: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """Yields what shows the frames done, their rate and the time left, where it can be seen."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import TextColumn

    with progress_display(TextColumn("frames, {task.fields[rate]:.1f} per second, left")) as bar:
        task = bar.add_task(path.name, total=None, rate=0.0)

        def show(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, rate=bar.tasks[task].speed or 0.0)

        yield show
