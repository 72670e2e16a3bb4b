"""Which face is which from frame to frame: the protocol of trackers, and mien's own.

:class:`KalmanTracker` is after ByteTrack (Zhang et al., 2022): sure detections are paired with
tracks first, unsure ones may only continue a confirmed track that was seen last time. Boxes are
grown before their overlap is measured (C-BIoU, Yang et al., 2023), because faces are small and
move far, and a coarse colour picture of each face keeps two people apart who cross.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mien.detectors.boxes import iou
from mien.errors import import_extra
from mien.video.smoothing import BoxMotion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mien.arrays import F32, F64, Floats

#: How much of a side boxes grow before their overlap counts, at once and per second out of sight.
_GROWTH, _GROWTH_LOST, _GROWTH_MAX = 0.25, 0.5, 0.8
#: Smallest overlap of a pair, grown; and, for unsure detections, as it is.
_MIN_OVERLAP, _MIN_UNSURE = 0.05, 0.3
#: Cost of a difference in appearance (0..1) next to a missing overlap, and the largest allowed.
_APPEARANCE_COST, _MAX_DIFFERENCE = 2.0, 0.35
_APPEARANCE_KEPT = 0.85
_CROWDED = 0.1


class Tracker(Protocol):
    """Numbers the faces of one clip.

    Inherit from it to write your own, with all five methods::

        class MyTracker(Tracker):
            name = "mine"

            def update(self, boxes_xyxy, scores, time_s, *, appearance=None):
                numbers = ...
                return [(number, row) for row, number in enumerate(numbers)]
            ...

        VideoRecognizer(recognizer, tracker=MyTracker())

    Attributes:
        name: Short name; an unfinished run goes on only with the tracker of the same name.
        score_share: Detections are handed over from this share of the detector's own threshold
            on; below 1, the tracker gets unsure ones, too.
    """

    name: str = "custom"
    score_share: float = 1.0

    def update(
        self, boxes_xyxy: Floats, scores: Floats, time_s: float, *, appearance: F32 | None = None
    ) -> list[tuple[int, int]]:
        """Takes in the detections of one frame.

        Args:
            boxes_xyxy: (N, 4), pixels.
            scores: (N,), 0..1.
            time_s: Later than the last time.
            appearance: float32 (N, D) in 0..1, colours of each face; None: not compared.

        Returns:
            Number (from 1, never given twice) and row of each face that has one, by row.
        """
        ...

    def visible(self, time_s: float) -> list[tuple[int, F64]]:
        """Returns number and box (4,), moved on to a time, of what the last detection found."""
        ...

    def end_all(self) -> None:
        """Ends every track, as a scene cut does."""
        ...

    def to_state(self) -> dict[str, Any]:
        """Returns plain JSON types for :meth:`restore`."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where :meth:`to_state` was called."""
        ...


class _Track(BoxMotion):
    """One face; ``track_id`` is None before it is confirmed, ``seen``: in the last detection."""

    def __init__(self, box: F64, time_s: float, appearance: F32 | None) -> None:
        super().__init__(box, time_s)
        self.appearance = appearance
        self.track_id: int | None = None
        self.hits, self.seen = 1, True

    def see(self, box: F64, time_s: float, appearance: F32 | None) -> None:
        self.update(box, time_s)
        self.hits, self.seen = self.hits + 1, True
        if appearance is not None:
            before = appearance if self.appearance is None else self.appearance
            kept = np.float32(_APPEARANCE_KEPT)
            now = np.float32(1 - _APPEARANCE_KEPT) * appearance
            self.appearance = kept * before.astype(np.float32) + now


@dataclass
class KalmanTracker(Tracker):
    """Gives faces numbers that stay through short gaps and crossings.

    Args:
        start_score: Detections below it only continue confirmed tracks.
        gap_s: Longest time without a detection, in seconds.
        confirm: Sure detections, one after the other, after which a track gets its number.

    >>> tracker = KalmanTracker(confirm=1)
    >>> boxes = np.array([[0, 0, 10, 10], [50, 0, 60, 10]], float)
    >>> tracker.update(boxes, np.ones(2), 0.0)
    [(1, 0), (2, 1)]
    >>> tracker.update(boxes[::-1] + 1, np.ones(2), 0.1)
    [(2, 0), (1, 1)]
    """

    name = "kalman"
    score_share = 0.6

    start_score: float = 0.0
    gap_s: float = 1.0
    confirm: int = 3
    next_id: int = 1
    _tracks: list[_Track] = field(default_factory=list)

    def update(
        self, boxes_xyxy: Floats, scores: Floats, time_s: float, *, appearance: F32 | None = None
    ) -> list[tuple[int, int]]:
        """Takes in the detections of one frame; see :meth:`Tracker.update`."""
        boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
        is_sure = np.asarray(scores) >= self.start_score
        pairs = self._pair(boxes, np.flatnonzero(is_sure), appearance, time_s)
        pairs += self._pair_unsure(
            {row for row, _ in pairs}, boxes, np.flatnonzero(~is_sure), time_s
        )
        crowded = iou(boxes, boxes).sum(axis=1) - 1 > _CROWDED
        for track in self._tracks:
            track.seen = False
        found = []
        for row, index in pairs:
            colours = None if appearance is None or crowded[index] else appearance[index]
            self._tracks[row].see(boxes[index], time_s, colours)
            found.append((self._tracks[row], index))
        self._tracks = [
            track
            for track in self._tracks
            if track.seen or (track.track_id is not None and time_s - track.time_s <= self.gap_s)
        ]
        for index in sorted({*np.flatnonzero(is_sure).tolist()} - {index for _, index in pairs}):
            colours = None if appearance is None else appearance[index]
            track = _Track(boxes[index], time_s, colours)
            self._tracks.append(track)
            found.append((track, index))
        for track, _ in found:
            if track.track_id is None and track.hits >= self.confirm:
                track.track_id, self.next_id = self.next_id, self.next_id + 1
        numbers = [(track.track_id, index) for track, index in found if track.track_id is not None]
        return sorted(numbers, key=lambda pair: pair[1])

    def visible(self, time_s: float) -> list[tuple[int, F64]]:
        """Returns number and box (4,), moved on to a time, of what the last detection found."""
        return [
            (track.track_id, track.box_at(time_s))
            for track in self._tracks
            if track.seen and track.track_id is not None
        ]

    def end_all(self) -> None:
        """Ends every track, as a scene cut does; numbers are not given again."""
        self._tracks = []

    def to_state(self) -> dict[str, Any]:
        """Returns plain JSON types for :meth:`restore`."""
        return {"tracks": [track.to_state() for track in self._tracks], "next_id": self.next_id}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where :meth:`to_state` was called."""
        self.next_id = int(state["next_id"])
        self._tracks = [_Track(np.zeros(4), 0.0, None) for _ in state["tracks"]]
        for track, values in zip(self._tracks, state["tracks"], strict=True):
            track.restore(values)

    def _pair(
        self, boxes: F64, indices: NDArray[np.intp], appearance: F32 | None, time_s: float
    ) -> list[tuple[int, int]]:
        """Pairs tracks with sure detections; returns the rows of both."""
        cost = np.empty((len(self._tracks), len(indices)))
        for row, track in zip(cost, self._tracks, strict=True):
            lost_s = max(time_s - track.time_s, 0.0) if not track.seen else 0.0
            growth = min(_GROWTH + _GROWTH_LOST * lost_s, _GROWTH_MAX)
            where = _grown(track.box_at(time_s)[None], growth)
            overlap = iou(where, _grown(boxes[indices], growth))[0]
            row[:] = np.where(overlap >= _MIN_OVERLAP, 1.0 - overlap, np.inf)
            if appearance is not None and track.appearance is not None:
                differs = np.abs(appearance[indices] - track.appearance).mean(axis=1)
                row[:] = np.where(
                    differs <= _MAX_DIFFERENCE, row + _APPEARANCE_COST * differs, np.inf
                )
        return [(row, int(indices[i])) for row, i in assign(cost, limit=_APPEARANCE_COST + 1)]

    def _pair_unsure(
        self, taken: set[int], boxes: F64, indices: NDArray[np.intp], time_s: float
    ) -> list[tuple[int, int]]:
        """Pairs confirmed tracks that were seen last time with unsure detections."""
        rows = [
            row
            for row, track in enumerate(self._tracks)
            if track.seen and track.track_id is not None and row not in taken
        ]
        where = np.reshape([self._tracks[row].box_at(time_s) for row in rows], (-1, 4))
        pairs = assign(1.0 - iou(where, boxes[indices]), limit=1.0 - _MIN_UNSURE)
        return [(rows[i], int(indices[j])) for i, j in pairs]


def assign(cost: Floats, *, limit: float = np.inf) -> list[tuple[int, int]]:
    """Pairs rows with columns at the smallest total cost (scipy's ``linear_sum_assignment``).

    A pair above the limit is dropped, and costs the limit, so that it never drives a better pair
    apart. ``cost`` is (N, M), infinite where a pair is impossible. Returns pairs (row, column).

    >>> assign(np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0]]))
    [(0, 1), (1, 0)]
    """
    linear_sum_assignment = import_extra(
        "scipy.optimize", "tracking faces", "video"
    ).linear_sum_assignment
    costs = np.asarray(cost, dtype=np.float64)
    cap = min(limit, float(np.abs(costs[np.isfinite(costs)]).max(initial=0.0)) + 1.0)
    pairs = zip(*linear_sum_assignment(np.minimum(costs, cap)), strict=True)
    return [(int(row), int(column)) for row, column in pairs if costs[row, column] <= limit]


def _grown(boxes: F64, share: float) -> F64:
    """Grows boxes (N, 4) by a share of their sides on each side."""
    by = share * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([boxes[:, :2] - by, boxes[:, 2:] + by], axis=1)
