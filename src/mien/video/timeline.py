"""The timeline, a row for each face in each frame that was read; and subtitles (SRT) from it."""

from __future__ import annotations

import csv
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import replacing
from mien.errors import DataError
from mien.quality import QUALITY_FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from mien.arrays import F64
    from mien.video.recognizer import TrackedFace

_HEAD = ("frame", "time_s", "track_id", "x1", "y1", "x2", "y2", "detection_score", "detected")
_ANSWER = ("emotion", "confidence", "std", "effective_frames", "uncertain", "quality_flags")
_WHOLE = {"frame", "frames", "track_id", "detected", "uncertain"}
_TEXT, _WORDS = {"emotion"}, {"quality_flags"}
#: Shortest subtitle in seconds: shorter ones cannot be read.
_MIN_S = 0.6


def timeline_header(labels: Sequence[str]) -> list[str]:
    """Returns the columns: ``p_`` are smoothed probabilities, ``raw_`` the frame's own.

    >>> timeline_header(["sad", "happy"])[-4:]
    ['p_sad', 'p_happy', 'raw_sad', 'raw_happy']
    """
    shares = [f"{kind}_{label}" for kind in ("p", "raw") for label in labels]
    return [*_HEAD, *_ANSWER, *shares]


def timeline_row(frame: int, time_s: float, tracked_face: TrackedFace) -> list[Any]:
    """Returns the row of one face; boxes to 0.01 pixel, probabilities to 0.000001."""
    face = tracked_face.face
    return [
        frame, round(time_s, 6), face.track_id, *(round(value, 2) for value in face.box_xyxy),
        round(face.detection_score, 4), int(tracked_face.detected), face.emotion,
        round(face.confidence, 6), round(tracked_face.std, 6), round(tracked_face.frames, 3),
        int(face.uncertain), " ".join(face.quality_flags),
        *(round(value, 6) for value in face.probs.values()),
        *(round(float(value), 6) for value in tracked_face.raw),
    ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class TimelineRow:
    """One row, read back: a face's smoothed answer at a time; ``probs`` are float64 (L,)."""

    time_s: float
    track_id: int
    emotion: str
    probs: F64
    uncertain: bool = False
    quality_flags: tuple[str, ...] = ()


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV file, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def join_timelines(path: Path, parts: Iterable[Path], header: Sequence[str]) -> None:
    """Writes the rows of several files below one header."""

    def rows() -> Iterator[Sequence[Any]]:
        for part in parts:
            with part.open(encoding="utf-8", newline="") as stream:
                reader = csv.reader(stream)
                next(reader, None)
                yield from reader

    write_rows(path, header, rows())


def read_timeline(path: Path) -> Iterator[TimelineRow]:
    """Yields the rows of a timeline file, in constant memory."""
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        names = reader.fieldnames or ()
        if not {*_HEAD, *_ANSWER} <= set(names):
            reason = f"is no timeline of this version of mien: its columns are {', '.join(names)}"
            raise DataError(reason, subject=path)
        shares = [name for name in names if name.startswith("p_")]
        for row in reader:
            yield TimelineRow(
                float(row["time_s"]), int(row["track_id"]), row["emotion"],
                np.array([float(row[name]) for name in shares]), row["uncertain"] == "1",
                tuple(row["quality_flags"].split()),
            )  # fmt: skip


def write_parquet(path: Path, timeline: Path) -> bool:
    """Writes a timeline once more as Parquet, piece by piece; False without pyarrow.

    ``quality_flags`` are a list of words there, as in the files of a job.
    """
    try:
        from pyarrow import ArrowInvalid, Table, float64, int64, string, system_memory_pool
        from pyarrow import csv as arrow_csv
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        return False
    with timeline.open(encoding="utf-8", newline="") as stream:
        header = next(csv.reader(stream), [])
    kinds = {
        name: int64() if name in _WHOLE else string() if name in _TEXT | _WORDS else float64()
        for name in header
    }
    options = arrow_csv.ConvertOptions(column_types=kinds)
    # Small blocks, one at a time, in memory that is given back: hours of rows take no more of it.
    pool = system_memory_pool()
    small = arrow_csv.ReadOptions(use_threads=False, block_size=1 << 18)
    try:
        with (
            replacing(path) as temporary,
            arrow_csv.open_csv(
                timeline, small, convert_options=options, memory_pool=pool
            ) as reader,
            ParquetWriter(
                temporary, _split_words(reader.schema.empty_table()).schema, memory_pool=pool
            ) as writer,
        ):
            for batch in reader:
                writer.write_table(_split_words(Table.from_batches([batch])))
    except ArrowInvalid as error:
        raise DataError(f"cannot be written as Parquet: {error}", subject=timeline) from error
    return True


def _split_words(rows: Any) -> Any:
    """Returns an Arrow table with lists in place of words that spaces part."""
    from pyarrow import compute, list_, scalar, string

    nothing = scalar([], list_(string()))
    for name in _WORDS.intersection(rows.column_names):
        texts = rows[name]
        words = compute.ascii_split_whitespace(texts)
        words = compute.if_else(compute.equal(texts, ""), nothing, words)
        rows = rows.set_column(rows.column_names.index(name), name, words)
    return rows


def interval_header(labels: Sequence[str]) -> list[str]:
    """Returns the columns of :func:`interval_rows`.

    >>> interval_header(["sad"])
    ['start_s', 'end_s', 'track_id', 'frames', 'emotion', 'confidence', 'uncertain_share', \
'quality_flags', 'p_sad']
    """
    answer = ["emotion", "confidence", "uncertain_share", "quality_flags"]
    return ["start_s", "end_s", "track_id", "frames", *answer, *(f"p_{label}" for label in labels)]


def interval_rows(
    rows: Iterable[TimelineRow], labels: Sequence[str], every_s: float
) -> Iterator[list[Any]]:
    """Yields a row for each face in each interval of ``every_s`` seconds in which it was seen.

    Probabilities are means over the frames, flags those of any of them, ``uncertain_share`` the
    share of frames with an uncertain answer. ``rows`` come in the order of time.

    >>> rows = [TimelineRow(t, 1, "sad", np.array([t, 1 - t])) for t in (0.25, 0.75, 1.0)]
    >>> [row[:6] for row in interval_rows(rows, ["happy", "sad"], 1.0)]
    [[0.0, 1.0, 1, 2, 'happy', 0.5], [1.0, 2.0, 1, 1, 'happy', 1.0]]
    """
    # A time of 0.6 s is in the fourth fifth, whatever 0.6 / 0.2 is in binary.
    for cell, group in itertools.groupby(rows, lambda row: math.floor(row.time_s / every_s + 1e-6)):
        faces: dict[int, list[TimelineRow]] = {}
        for row in group:
            faces.setdefault(row.track_id, []).append(row)
        for number, seen in sorted(faces.items()):
            probs = np.mean([row.probs for row in seen], axis=0)
            found = {flag for row in seen for flag in row.quality_flags}
            yield [
                round(cell * every_s, 6), round((cell + 1) * every_s, 6), number, len(seen),
                labels[int(probs.argmax())], round(float(probs.max()), 6),
                round(sum(row.uncertain for row in seen) / len(seen), 6),
                " ".join(flag for flag in QUALITY_FLAGS if flag in found),
                *(round(float(value), 6) for value in probs),
            ]  # fmt: skip


def srt_time(time_s: float) -> str:
    """Writes seconds as SRT does.

    >>> srt_time(3661.5)
    '01:01:01,500'
    """
    ms = max(round(time_s * 1000), 0)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


def subtitles(rows: Iterable[TimelineRow], *, frame_s: float) -> Iterator[str]:
    """Yields the blocks of an SRT file: a new one when a face or an expression changes.

    ``rows`` come in the order of time; ``frame_s`` lie between two frames that are read.
    """
    number, shown, start, end = 0, "", 0.0, 0.0
    texts = (
        (time_s, "  ".join(f"#{row.track_id} {row.emotion}" for row in group))
        for time_s, group in itertools.groupby(rows, lambda row: row.time_s)
    )
    # The empty text at the end of time closes the last block.
    for time_s, text in itertools.chain(texts, [(math.inf, "")]):
        gone = time_s - end > max(2 * frame_s, 0.1)
        changed = text != shown and (time_s - start >= _MIN_S or not shown)
        if shown and (gone or changed):
            number += 1
            until = end if gone else time_s
            yield f"{number}\n{srt_time(start)} --> {srt_time(until)}\n{shown}\n\n"
        if gone or changed:
            shown, start = text, time_s
        end = time_s + frame_s
