"""``mien finder evaluate``: against YuNet, UltraFace and Haar, on pictures nobody trained on.

Detectors are compared at equal false alarms a picture on the held-out tenth of the scenes. A
label there is a face that both teachers saw in several looks; that one of the teachers is also a
contestant favours it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.train.finder.composed import composed_scenes
from mien.train.finder.pool import SCENES
from mien.train.finder.scoring import alarms_at, match, recall_at, threshold_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mien.faces import Detections, FaceDetector
    from mien.train.finder.pool import Pool, Source
    from mien.train.finder.scoring import Match

#: Counted faces are at least so large, in pixels: the longer side of the box.
LEAST = 24.0
#: Detections below this are neither hits nor alarms.
_LEAST_FOUND = 20.0
BINS = ((20.0, 24.0), (24.0, 32.0), (32.0, 64.0), (64.0, 128.0), (128.0, 1e9))
#: False alarms a picture at which detectors are compared; the one at which sizes are listed.
LEVELS, LEVEL = (0.005, 0.01, 0.02, 0.05, 0.1), 0.02


def _sides(source: Source) -> Any:
    return (source.boxes[:, 2:] - source.boxes[:, :2]).max(axis=1, initial=0.0)


def find_all(detector: FaceDetector, sources: Sequence[Source]) -> list[Detections]:
    """Runs a detector over scenes."""
    return [
        detector.detect(np.asarray(source.levels[0]), min_face=_LEAST_FOUND) for source in sources
    ]


def match_all(
    found: Sequence[Detections],
    sources: Sequence[Source],
    *,
    low: float = LEAST,
    high: float = 1e9,
) -> list[Match]:
    """Matches finds with the labelled faces of ``low`` to ``high`` pixels."""
    matches = []
    for detections, source in zip(found, sources, strict=True):
        sides = _sides(source)
        counted = source.is_face & (sides >= low) & (sides < high)
        matches.append(match(detections, source.boxes, counted))
    return matches


def compare_scenes(
    detectors: dict[str, FaceDetector],
    pool: Pool,
    thresholds: dict[str, float],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Measures recall and false alarms on the held-out scenes.

    Args:
        detectors: By name; made to report low scores too.
        pool: The held-out scenes.
        thresholds: The score from which each reports by default.
        progress: Called with the number of detectors just done.

    Returns:
        By detector: recall at its own threshold and at equal alarms, by size, alarms by set.
    """
    table: dict[str, Any] = {}
    for name, detector in detectors.items():
        found = {scenes: find_all(detector, pool.scenes[scenes]) for scenes in SCENES}
        table[name] = _summary(found, pool, thresholds[name])
        if progress:
            progress(1)
    return table


def _summary(found: dict[str, list[Detections]], pool: Pool, usual: float) -> dict[str, Any]:
    sets = {scenes: match_all(found[scenes], pool.scenes[scenes]) for scenes in SCENES}
    together = [item for part in sets.values() for item in part]
    entry: dict[str, Any] = {
        "threshold": usual,
        "recall": recall_at(together, usual),
        "alarms": alarms_at(together, usual),
        "faces": sum(len(item.hit) for item in together),
        "pictures": len(together),
        "equal": {},
    }
    for scenes, part in sets.items():
        entry[scenes] = {"recall": recall_at(part, usual), "alarms": alarms_at(part, usual)}
    for level in LEVELS:
        at = threshold_for(together, level)
        entry["equal"][str(level)] = {
            "threshold": at,
            "recall": recall_at(together, at),
            **{scenes: recall_at(part, at) for scenes, part in sets.items()},
        }
    at = entry["equal"][str(LEVEL)]["threshold"]
    entry["sizes"] = {}
    for low, high in BINS:
        parts = [match_all(found[s], pool.scenes[s], low=low, high=high) for s in SCENES]
        entry["sizes"][f"{low:g}"] = recall_at([item for part in parts for item in part], at)
    return entry


def compare_composed(
    detectors: dict[str, FaceDetector], pool: Pool, thresholds: dict[str, float], count: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Returns recall on composed scenes by group, value and detector."""
    hits: dict[tuple[str, str], dict[str, list[float]]] = {}
    for scene in composed_scenes(pool, count):
        for name, detector in detectors.items():
            found = detector.detect(scene.image_rgb, min_face=8)
            one = match(found, scene.box[None], np.ones(1, bool))
            row = hits.setdefault((scene.group, scene.value), {})
            row.setdefault(name, []).append(float(one.hit[0] >= max(thresholds[name], 1e-9)))
    table: dict[str, dict[str, dict[str, float]]] = {}
    for (group, value), row in hits.items():
        table.setdefault(group, {})[value] = {name: float(np.mean(v)) for name, v in row.items()}
    return table


def landmark_errors(
    detector: FaceDetector, sources: Sequence[Source], *, largest: bool = False
) -> NDArray[np.float64]:
    """Returns (F,): by face that was found, the mean distance of its five points from the labels.

    In shares of the labelled distance between the eyes.

    Args:
        detector: The one to measure.
        sources: Pictures with labelled points.
        largest: Only the largest labelled face of each picture: of a portrait, the sitter's.
    """
    errors = []
    for source in sources:
        known = source.is_face & ~np.isnan(source.points).any(axis=(1, 2))
        if largest and known.any():
            areas = np.where(known, (source.boxes[:, 2:] - source.boxes[:, :2]).prod(axis=1), -1.0)
            known &= np.arange(len(known)) == areas.argmax()
        found = detector.detect(np.asarray(source.levels[0]))
        if found.landmarks is None:
            continue
        one = match(found, source.boxes, known)
        for points, index in zip(source.points[known], one.found, strict=True):
            if index >= 0:
                eyes = float(np.linalg.norm(points[0] - points[1]))
                gap = np.linalg.norm(found.landmarks[index] - points, axis=1).mean()
                errors.append(float(gap) / max(eyes, 1e-6))
    return np.array(errors)
