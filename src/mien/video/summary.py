"""What a clip shows as a whole: for each face how long it was seen, and with which expressions."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.labels import FERPLUS8
from mien.quality import QUALITY_FLAGS
from mien.results import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mien.arrays import F64
    from mien.video.timeline import TimelineRow

#: How pleasant each expression is, -1..1: after the pleasure ratings of Russell and Mehrabian
#: (1977), rounded; contempt, which they did not rate as such, between anger and neutral.
VALENCE = {
    "neutral": 0.0, "happiness": 0.8, "surprise": 0.4, "sadness": -0.6, "anger": -0.5,
    "disgust": -0.6, "fear": -0.6, "contempt": -0.4,
}  # fmt: skip
#: Seconds that a new expression must last to count as a change.
HOLD_S = 0.5


@dataclass(frozen=True)
class Change:
    """A face's expression became another one, for half a second at least."""

    time_s: float
    before: str
    after: str


@dataclass(frozen=True)
class TrackSummary:
    """One face of a clip: its times in seconds, mean smoothed probabilities, and how they went.

    ``seen_s`` leaves out the times it was lost; ``uncertain`` and ``quality_flags`` are shares of
    that time. ``valence`` is the mean pleasantness, -1..1, None for labels of one's own; its trend
    the slope of a straight line, per minute, None if seen under 2 s.
    """

    track_id: int
    first_s: float
    last_s: float
    seen_s: float
    frames: int
    shares: dict[str, float]
    emotion: str
    uncertain: float
    quality_flags: dict[str, float]
    changes: tuple[Change, ...]
    valence: float | None
    valence_trend: float | None


@dataclass(frozen=True)
class VideoSummary:
    """What was found in a clip; ``summary.json`` is :meth:`to_dict`.

    Args:
        source: Name of the clip's file.
        width: Pixels, upright.
        height: Pixels, upright.
        fps: Average frames per second.
        duration_s: Length of what could be read.
        complete: The clip did not break off before the length that it states, and no part of it
            was damaged.
        frames: Frames, where an annotated copy was written; else those that were read.
        frames_read: Frames that were searched or read for faces.
        model: Name of the model.
        detector: Name of the detector.
        labels: The labels, in order.
        tracks: One entry per face.
        config: The settings.
        frames_failed: Frames on which the detector failed; faces moved on as their tracks say.
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
    frames_failed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"schema_version": SCHEMA_VERSION, **plain}


@dataclass(frozen=True)
class VideoWarning:
    """What the results of a clip leave out; as text it is its sentence.

    Args:
        code: ``damaged`` (the clip is not whole), ``detector`` (it failed on some frames),
            ``sound`` (the copy has none) or ``parquet`` (tables are CSV only).
        text: The sentence.
        is_fault: Frames were not read, so that the command line exits with 1.
    """

    code: str
    text: str
    is_fault: bool = False

    def __str__(self) -> str:
        """Returns the sentence."""
        return self.text


@dataclass(frozen=True)
class VideoResult:
    """The results of a clip.

    Args:
        summary: What was found.
        files: Path by name, of those that were written.
        warnings: What they leave out.
    """

    summary: VideoSummary
    files: dict[str, Path]
    warnings: tuple[VideoWarning, ...] = ()


def valences(labels: Sequence[str]) -> F64 | None:
    """Returns the pleasantness of each label, or None where one of them has none.

    >>> valences(["happy", "sad"]).tolist(), valences(["bored", "awake"])
    ([0.8, -0.6], None)
    """
    if not all(label in FERPLUS8 for label in labels):
        return None
    return np.array([VALENCE[FERPLUS8.labels[FERPLUS8.index(label)]] for label in labels])


@dataclass
class _Tally:
    """Running sums of one face."""

    first_s: float
    last_s: float
    emotion: str
    sums: F64
    seen_s: float = 0.0
    frames: int = 0
    uncertain_s: float = 0.0
    flags_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    changes: list[Change] = field(default_factory=list)
    candidate: tuple[str, float] | None = None
    # Of the regression of valence on time: n, sums of t, t^2, v, t v.
    line: F64 = field(default_factory=lambda: np.zeros(5))

    def note_change(self, row: TimelineRow) -> None:
        """Notes a change once the new expression has lasted."""
        if row.emotion == self.emotion:
            self.candidate = None
        elif self.candidate is None or self.candidate[0] != row.emotion:
            self.candidate = (row.emotion, row.time_s)
        elif row.time_s - self.candidate[1] >= HOLD_S:
            self.changes.append(Change(round(self.candidate[1], 3), self.emotion, row.emotion))
            self.emotion, self.candidate = row.emotion, None

    def slope(self) -> float | None:
        """Returns by how much valence rises per minute."""
        n, t, tt, v, tv = self.line
        spread = n * tt - t * t
        if self.last_s - self.first_s < 2.0 or spread <= 0:
            return None
        return round(float((n * tv - t * v) / spread * 60), 4) + 0.0


class Summarizer:
    """Sums a timeline up, row by row; memory grows with the number of faces only.

    ``gap_s`` is the longest time between two rows of a face that still counts as seen, ``frame_s``
    the time from one frame that is read to the next: what the first one counts.

    >>> from mien.video.timeline import TimelineRow
    >>> summary = Summarizer(["happy", "sad"], gap_s=1.0, frame_s=0.5)
    >>> for step in range(9):
    ...     summary.add(TimelineRow(step / 2, 1, "happy", np.array([0.75, 0.25])))
    >>> [track] = summary.tracks()
    >>> track.seen_s, track.shares["happy"], round(track.valence, 3), track.valence_trend
    (4.5, 0.75, 0.45, 0.0)
    """

    def __init__(self, labels: Sequence[str], *, gap_s: float, frame_s: float) -> None:
        self._labels = list(labels)
        self._gap_s, self._frame_s = gap_s, frame_s
        self._values = valences(labels)
        self._tallies: dict[int, _Tally] = {}

    def add(self, row: TimelineRow) -> None:
        """Takes in a row; those of one face come in the order of time."""
        zeros = np.zeros(len(self._labels))
        first = _Tally(row.time_s, row.time_s - self._frame_s, row.emotion, zeros)
        tally = self._tallies.setdefault(row.track_id, first)
        step = row.time_s - tally.last_s
        weight = step if step <= max(self._gap_s, 1.5 * self._frame_s) else self._frame_s
        tally.last_s = row.time_s
        tally.frames += 1
        tally.seen_s += weight
        tally.sums += weight * row.probs
        tally.uncertain_s += weight * row.uncertain
        for flag in row.quality_flags:
            tally.flags_s[flag] += weight
        if self._values is not None:
            t, v = row.time_s - tally.first_s, float(self._values @ row.probs)
            tally.line += (1.0, t, t * t, v, t * v)
        tally.note_change(row)

    def tracks(self) -> list[TrackSummary]:
        """Returns the faces so far, by number."""
        return [self._track(number, tally) for number, tally in sorted(self._tallies.items())]

    def _track(self, number: int, tally: _Tally) -> TrackSummary:
        seen_s = max(tally.seen_s, 1e-9)
        shares = tally.sums / seen_s
        named = {k: round(float(v), 4) for k, v in zip(self._labels, shares, strict=True)}
        valence = None if self._values is None else round(float(self._values @ shares), 4)
        return TrackSummary(
            number, round(tally.first_s, 3), round(tally.last_s, 3), round(tally.seen_s, 3),
            tally.frames, named, max(named, key=named.__getitem__),
            round(tally.uncertain_s / seen_s, 4),
            {flag: round(tally.flags_s[flag] / seen_s, 4)
             for flag in QUALITY_FLAGS if flag in tally.flags_s},
            tuple(tally.changes), valence, tally.slope() if valence is not None else None,
        )  # fmt: skip
