"""Subtitles (SRT): the expression of each face, as text below the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mien.video.timeline import TimelineRow

#: Shortest subtitle in seconds: shorter ones cannot be read.
_MIN_S = 0.6


def srt_time(time_s: float) -> str:
    """Writes seconds as SRT does.

    >>> srt_time(3661.5)
    '01:01:01,500'
    """
    ms = max(round(time_s * 1000), 0)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


def subtitles(rows: Iterable[TimelineRow], *, frame_s: float) -> Iterator[str]:
    """Yields the blocks of an SRT file: a new one when a face or an expression changes.

    Args:
        rows: A timeline, in the order of time.
        frame_s: Seconds from one frame that is read to the next.
    """
    number, shown, start, end = 0, "", 0.0, 0.0
    for time_s, text in _texts(rows):
        gone = time_s - end > max(2 * frame_s, 0.1)
        if text != shown and (gone or time_s - start >= _MIN_S or not shown):
            if shown:
                number += 1
                yield _block(number, start, end if gone else time_s, shown)
            shown, start = text, time_s
        elif gone and shown:
            number += 1
            yield _block(number, start, end, shown)
            start = time_s
        end = time_s + frame_s
    if shown:
        yield _block(number + 1, start, end, shown)


def _texts(rows: Iterable[TimelineRow]) -> Iterator[tuple[float, str]]:
    """Yields time and text of each frame with a face."""
    time_s, words = None, []
    for row in rows:
        if time_s is not None and row.time_s != time_s:
            yield time_s, "  ".join(words)
            words = []
        time_s = row.time_s
        words.append(f"#{row.track_id} {row.emotion}")
    if time_s is not None:
        yield time_s, "  ".join(words)


def _block(number: int, start: float, end: float, text: str) -> str:
    return f"{number}\n{srt_time(start)} --> {srt_time(end)}\n{text}\n\n"
