"""Which face is which from frame to frame: tracks with numbers.

After ByteTrack (Zhang et al., 2022): sure detections are paired with tracks first, unsure ones
may only continue a confirmed track that was seen last time. Boxes are grown before their overlap is
measured (C-BIoU, Yang et al., 2023), because faces are small and move far, and a coarse colour
picture of each face keeps two people apart who cross.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.video.assignment import assign
from mien.video.motion import BoxMotion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: How much of a side boxes grow before their overlap counts, at once and a second out of sight.
_GROWTH, _GROWTH_LOST, _GROWTH_MOST = 0.25, 0.5, 0.8
#: Least overlap of a pair, grown; and, for unsure detections, as it is.
_MIN_OVERLAP, _MIN_UNSURE = 0.05, 0.3
#: What a difference of looks (0..1) costs beside a missing overlap, and the most there may be.
_LOOK_COST, _MAX_LOOK = 2.0, 0.35
_LOOK_KEPT = 0.85
_CROWDED = 0.1


@dataclass
class Track:
    """One face that is followed.

    Args:
        motion: Where it is and how it moves.
        look: float32 (D,) in 0..1, its colours; None where they are not compared.
        last_s: When it was last detected.
        score: Score of the last detection.
        track_id: Its number from 1, or None before it is confirmed.
        hits: Detections so far.
        seen: It was found by the last detection.
    """

    motion: BoxMotion
    look: NDArray[np.float32] | None
    last_s: float
    score: float
    track_id: int | None = None
    hits: int = 1
    seen: bool = True


@dataclass
class Tracker:
    """Gives faces numbers that stay through short gaps and crossings.

    Args:
        start_score: Detections below it only continue confirmed tracks.
        gap_s: Longest time without a detection, in seconds.
        confirm: Sure detections, one after the other, after which a track gets its number.

    >>> tracker = Tracker(confirm=1)
    >>> boxes = np.array([[0, 0, 10, 10], [50, 0, 60, 10]], float)
    >>> [track.track_id for track, _ in tracker.update(boxes, np.ones(2), 0.0)]
    [1, 2]
    >>> [track.track_id for track, _ in tracker.update(boxes[::-1] + 1, np.ones(2), 0.1)]
    [2, 1]
    """

    start_score: float = 0.0
    gap_s: float = 1.0
    confirm: int = 3
    tracks: list[Track] = field(default_factory=list)
    next_id: int = 1

    def update(
        self,
        boxes_xyxy: NDArray[np.floating[Any]],
        scores: NDArray[np.floating[Any]],
        time_s: float,
        *,
        looks: NDArray[np.float32] | None = None,
    ) -> list[tuple[Track, int]]:
        """Takes in the detections of one frame.

        Args:
            boxes_xyxy: (N, 4), pixels.
            scores: (N,), 0..1.
            time_s: Later than the last time.
            looks: float32 (N, D) in 0..1, colours of each face; None: not compared.

        Returns:
            Confirmed tracks of this frame with the index of their detection.
        """
        boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
        sure = np.flatnonzero(np.asarray(scores) >= self.start_score)
        unsure = np.flatnonzero(np.asarray(scores) < self.start_score)
        pairs = self._pair(self.tracks, boxes, sure, looks, time_s)
        taken = {id(track) for track, _ in pairs}
        rest = [
            track
            for track in self.tracks
            if track.seen and track.track_id is not None and id(track) not in taken
        ]
        pairs += self._pair_unsure(rest, boxes, unsure, time_s)
        used = {index for _, index in pairs}
        crowded = _overlaps(boxes, boxes).sum(axis=1) - 1 > _CROWDED
        for track in self.tracks:
            track.seen = False
        for track, index in pairs:
            look = None if looks is None or crowded[index] else looks[index]
            self._continue(track, boxes[index], float(scores[index]), look, time_s)
        self.tracks = [track for track in self.tracks if self._lives(track, time_s)]
        for index in sure.tolist():
            if index not in used:
                look = None if looks is None else looks[index]
                motion = BoxMotion(boxes[index], time_s)
                track = Track(motion, look, time_s, float(scores[index]))
                self.tracks.append(track)
                pairs.append((track, index))
        for track, _ in pairs:
            if track.track_id is None and track.hits >= self.confirm:
                track.track_id, self.next_id = self.next_id, self.next_id + 1
        confirmed = [(track, index) for track, index in pairs if track.track_id is not None]
        return sorted(confirmed, key=lambda pair: pair[1])

    def visible(self) -> list[Track]:
        """Returns the confirmed tracks that the last detection found."""
        return [track for track in self.tracks if track.seen and track.track_id is not None]

    def end_all(self) -> None:
        """Ends every track, as a scene cut does; numbers are not given again."""
        self.tracks = []

    def to_state(self) -> dict[str, Any]:
        """Returns plain JSON types for :meth:`restore`."""
        tracks = [
            {
                "motion": track.motion.to_state(), "last_s": track.last_s, "score": track.score,
                "look": None if track.look is None else track.look.tolist(),
                "track_id": track.track_id, "hits": track.hits, "seen": track.seen,
            }
            for track in self.tracks
        ]  # fmt: skip
        return {"tracks": tracks, "next_id": self.next_id}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where :meth:`to_state` was called."""
        self.next_id = int(state["next_id"])
        self.tracks = [
            Track(
                **{
                    **values,
                    "motion": BoxMotion.from_state(values["motion"]),
                    "look": None if values["look"] is None else np.float32(values["look"]),
                }
            )
            for values in state["tracks"]
        ]

    def _pair(
        self,
        tracks: list[Track],
        boxes: NDArray[np.float64],
        indices: NDArray[np.intp],
        looks: NDArray[np.float32] | None,
        time_s: float,
    ) -> list[tuple[Track, int]]:
        if not tracks or not len(indices):
            return []
        cost = np.empty((len(tracks), len(indices)))
        for row, track in zip(cost, tracks, strict=True):
            lost_s = max(time_s - track.last_s, 0.0) if not track.seen else 0.0
            growth = min(_GROWTH + _GROWTH_LOST * lost_s, _GROWTH_MOST)
            where = _grown(track.motion.box_at(time_s)[None], growth)
            overlap = _overlaps(where, _grown(boxes[indices], growth))[0]
            row[:] = np.where(overlap >= _MIN_OVERLAP, 1.0 - overlap, np.inf)
            if looks is not None and track.look is not None:
                differs = np.abs(looks[indices] - track.look).mean(axis=1)
                row[:] = np.where(differs <= _MAX_LOOK, row + _LOOK_COST * differs, np.inf)
        return [(tracks[i], int(indices[j])) for i, j in assign(cost, limit=_LOOK_COST + 1)]

    def _pair_unsure(
        self,
        tracks: list[Track],
        boxes: NDArray[np.float64],
        indices: NDArray[np.intp],
        time_s: float,
    ) -> list[tuple[Track, int]]:
        if not tracks or not len(indices):
            return []
        where = np.array([track.motion.box_at(time_s) for track in tracks])
        cost = 1.0 - _overlaps(where, boxes[indices])
        pairs = assign(cost, limit=1.0 - _MIN_UNSURE)
        return [(tracks[i], int(indices[j])) for i, j in pairs]

    def _continue(
        self,
        track: Track,
        box: NDArray[np.float64],
        score: float,
        look: NDArray[np.float32] | None,
        time_s: float,
    ) -> None:
        track.motion.update(box, time_s)
        track.last_s, track.score, track.seen = time_s, score, True
        track.hits += 1
        if look is not None:
            before = look if track.look is None else track.look
            track.look = np.float32(_LOOK_KEPT) * before + np.float32(1 - _LOOK_KEPT) * look

    def _lives(self, track: Track, time_s: float) -> bool:
        if track.seen:
            return True
        return track.track_id is not None and time_s - track.last_s <= self.gap_s


def _grown(boxes: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Grows boxes (N, 4) by a share of their sides on each side."""
    by = share * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([boxes[:, :2] - by, boxes[:, 2:] + by], axis=1)


def _overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns intersection over union of boxes (N, 4) and (M, 4): (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9))
