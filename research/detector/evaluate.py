"""Prints how well the detector finds faces, next to its peers: ``docs/detector-scores.md``.

``python -m research.detector.evaluate --shared ../shared --peers`` searches every photograph of
``data/photos`` valid with the detector in the package, and with YuNet_s, YuNet_n and UltraFace, all
at the photograph's own size and each from the score that is best for its own F1. Landmarks, times
and what the emotion model loses through detection (``through.py``) stand in the same table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from research.detector.metrics import (
    HIT,
    Matched,
    best_threshold,
    calibration_error,
    false_per_hundred,
    join,
    match,
    precision_recall,
    recall_at,
)
from research.detector.pack import IGNORE, decode_rgb
from research.detector.prepare import Labelled, is_valid, read_photos
from research.detector.teachers import MIRRORED, Found, UltraFace, YuNet
from research.detector.through import paste, read_through

from mien import EmotionRecognizer
from mien.detectors import get_detector
from mien.detectors.mien import MienDetector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.detectors import Detector

#: Lowest score that is searched for.
MIN_SCORE = 0.03
PHOTOS = ("fc", "sht_b", "sht_a", "mask", "catdog", "texture")
SIZES = (16, 24, 32, 64, 128)
FRAMES = ((640, 480), (4000, 3000))

Find = Callable[["NDArray[np.uint8]"], Found]


@dataclass(frozen=True)
class Result:
    """What one detector found in all photographs.

    Args:
        matches: By source, one for each photograph.
        threshold: The score from which F1 over all photographs is best.
        f1: That F1.
    """

    matches: dict[str, list[Matched]]
    threshold: float
    f1: float

    @property
    def all(self) -> list[Matched]:
        """The matches of all photographs."""
        return [m for part in self.matches.values() for m in part]

    def row(self, threshold: float | None = None) -> dict[str, float]:
        """Recall by source and size, and false boxes, from a score on."""
        score = self.threshold if threshold is None else threshold
        row = {"best F1": self.f1, "at a score of": score}
        for source, part in self.matches.items():
            if any(len(m.sizes) for m in part):
                row[f"recall {source}"] = recall_at(part, score)
        for low, high in zip(SIZES, (*SIZES[1:], 1_000_000), strict=True):
            row[f"recall from {low} px"] = recall_between(self.all, score, low, high)
        for source, part in self.matches.items():
            row[f"false per 100 {source}"] = false_per_hundred(part, score)
        scores, kind, _ = join(self.all)
        row["calibration error"] = calibration_error(
            scores[scores >= 0.05], kind[scores >= 0.05] == HIT
        )
        return row


def recall_between(parts: list[Matched], threshold: float, low: float, high: float) -> float:
    """Share of the faces of ``low`` to below ``high`` pixels that are found from a score on."""
    found = total = 0
    for part in parts:
        wanted = (part.sizes >= low) & (part.sizes < high)
        hit = part.face[(part.scores >= threshold) & (part.kind == HIT)]
        found, total = found + int(wanted[hit].sum()), total + int(wanted.sum())
    return found / total if total else float("nan")


def measure(find: Find, items: list[Labelled]) -> Result:
    """Runs a detector over labelled photographs."""
    matches: dict[str, list[Matched]] = {}
    for item in items:
        found = find(decode_rgb(item.data))
        result = match(found.boxes, found.scores, item.boxes, item.target == IGNORE)
        matches.setdefault(item.source, []).append(result)
    matches = {name: matches[name] for name in PHOTOS if name in matches}
    threshold, f1 = best_threshold([m for part in matches.values() for m in part])
    return Result(matches, threshold, f1)


def landmark_error(find: Find, teacher: YuNet, portraits: list[bytes]) -> tuple[float, float, int]:
    """Mean and median distance of the sitter's five points from the teacher's.

    Returns:
        Both as shares of the distance of the eyes, and the number of faces.
    """
    errors = []
    for data in portraits:
        image_rgb = decode_rgb(data)
        theirs, mine = teacher.detect(image_rgb, 0.6), find(image_rgb)
        if not len(theirs.scores) or not len(mine.scores):
            continue
        middle = np.array([image_rgb.shape[1], image_rgb.shape[0]]) / 2
        sitter = _nearest(theirs.boxes, middle)
        centre = (theirs.boxes[sitter, :2] + theirs.boxes[sitter, 2:]) / 2
        sound = mine.scores >= 0.3
        if not sound.any():
            continue
        nearest = np.flatnonzero(sound)[_nearest(mine.boxes[sound], centre)]
        eyes = np.linalg.norm(theirs.points[sitter, 0] - theirs.points[sitter, 1])
        away = np.linalg.norm(theirs.points[sitter] - mine.points[nearest], axis=1).mean()
        if away < 2 * eyes:  # otherwise it is somebody else's face
            errors.append(away / max(eyes, 1.0))
    return float(np.mean(errors)), float(np.median(errors)), len(errors)


def teacher_scatter(teacher: YuNet, portraits: list[bytes], looks: int = 8) -> tuple[float, float]:
    """How far the teacher's points lie from its own when a portrait is moved by some pixels.

    Every other look is mirrored, too.

    Returns:
        Mean distance of one look's points, and of the mean of all looks, as shares of the
        distance of the eyes: nearer than the second, nobody gets to the points of a single look.
    """
    rng, apart, together = np.random.default_rng(0), [], []
    for data in portraits:
        image_rgb = decode_rgb(data)
        known = teacher.detect(image_rgb, 0.6)
        if not len(known.scores):
            continue
        middle = np.array([image_rgb.shape[1], image_rgb.shape[0]]) / 2
        points = known.points[_nearest(known.boxes, middle)]
        eyes = np.linalg.norm(points[0] - points[1])
        moves = [rng.integers(0, 32, 2) for _ in range(looks)]
        seen = [
            look
            for i, move in enumerate(moves)
            if (look := _look_again(teacher, image_rgb, points, move, mirror=i % 2 == 1))
            is not None
        ]
        if seen:
            apart.append(np.mean([_away(points, look) for look in seen]) / eyes)
            together.append(_away(points, np.mean(seen, axis=0)) / eyes)
    return float(np.mean(apart)), float(np.mean(together))


def _look_again(
    teacher: YuNet,
    image_rgb: NDArray[np.uint8],
    points: NDArray[np.float32],
    move: NDArray[np.integer],
    *,
    mirror: bool,
) -> NDArray[np.float32] | None:
    x, y = int(move[0]), int(move[1])
    image = np.pad(image_rgb, ((y, 32 - y), (x, 32 - x), (0, 0)), mode="edge")
    found = teacher.detect(np.ascontiguousarray(image[:, ::-1]) if mirror else image, 0.3)
    if not len(found.scores):
        return None
    seen = found.points
    if mirror:
        seen = seen[:, MIRRORED] * np.float32([-1, 1]) + np.float32([image.shape[1], 0])
    seen = seen - np.float32([x, y])
    nearest = seen[np.linalg.norm(seen - points, axis=2).mean(axis=1).argmin()]
    eyes = float(np.linalg.norm(points[0] - points[1]))
    return nearest if _away(points, nearest) < eyes else None  # otherwise somebody else's face


def _away(points: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(points - others, axis=1).mean())


def _nearest(boxes: NDArray[np.float32], spot: NDArray[np.floating]) -> int:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return int(np.linalg.norm(centres - spot, axis=1).argmin())


def lost_through(shared: Path, detector: Detector, faces: int) -> dict[str, float]:
    """Share of pasted FER+ faces that are found, and the points of accuracy that are lost."""
    recognizer = EmotionRecognizer(detector="none")
    pasted = paste(
        recognizer, f"ferplus:{shared / 'data/ferplus'}", shared / "data/scenes/people.parquet",
        faces=faces, side=448, rotate=0.0,
    )  # fmt: skip
    found, hit = read_through(recognizer, detector, pasted)
    return {
        "pasted faces found": float(found.mean()),
        "points lost through detection": 100 * float(pasted.correct.mean() - hit.mean()),
    }


def read_portraits(shared: Path, most: int) -> list[bytes]:
    """Returns portraits that training never sees."""
    import pyarrow.parquet as pq

    rows = pq.read_table(shared / "data/scenes/portraits.parquet")["image"].to_pylist()
    return [row["bytes"] for row in rows if is_valid(row["path"])][:most]


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """Prints one column for each detector, in Markdown."""
    names = list(rows)
    print("| |", " | ".join(names), "|\n|---|" + "---|" * len(names))
    for key in rows[names[0]]:
        values = [rows[name].get(key, float("nan")) for name in names]
        digits = 1 if key.startswith(("false", "ms", "points")) else 3
        cells = ["-" if np.isnan(value) else f"{value:.{digits}f}" for value in values]
        print(f"| {key} |", " | ".join(cells), "|")


def draw_curves(results: dict[str, Result], path: Path) -> None:
    """Draws precision against recall, over all photographs and by source."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    groups = {
        "all photographs": PHOTOS,
        "groups": ("fc",),
        "streets": ("sht_b",),
        "masks": ("mask",),
    }
    figure, axes = plt.subplots(1, len(groups), figsize=(4 * len(groups), 3.6), sharey=True)
    for axis, (title, sources) in zip(axes, groups.items(), strict=True):
        for name, result in results.items():
            parts = [m for s in sources for m in result.matches.get(s, [])]
            thresholds, precision, recall = precision_recall(parts)
            line = axis.plot(recall, precision, label=name)[0]
            at = int((thresholds >= result.threshold).sum()) - 1
            axis.plot(recall[at], precision[at], "o", color=line.get_color())
        axis.set(title=title, xlabel="recall", xlim=(0, 1), ylim=(0.5, 1.01))
        axis.grid(visible=True, alpha=0.3)
    axes[0].set_ylabel("precision")
    axes[0].legend(loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def print_thresholds(result: Result) -> None:
    """Prints what other lowest scores would give."""
    print("\n| score from | recall | precision | F1 | false per 100 groups | cats and dogs |")
    print("|---|---|---|---|---|---|")
    thresholds, precision, recall = precision_recall(result.all)
    for score in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        at = int((thresholds >= score).sum()) - 1
        p, r = float(precision[at]), float(recall[at])
        groups, animals = (
            false_per_hundred(result.matches[name], score) for name in ("fc", "catdog")
        )
        f1 = 2 * p * r / (p + r)
        print(f"| {score} | {r:.3f} | {p:.3f} | {f1:.3f} | {groups:.1f} | {animals:.1f} |")


def time_detectors(
    detectors: dict[str, Find], image_rgb: NDArray[np.uint8], rounds: int
) -> dict[str, float]:
    """Returns the quickest of several rounds of each detector, in turns, in milliseconds."""
    best = dict.fromkeys(detectors, float("inf"))
    for _ in range(rounds + 1):  # the first one warms up
        for name, find in detectors.items():
            start = time.perf_counter()
            find(image_rgb)
            best[name] = min(best[name], 1000 * (time.perf_counter() - start))
    return best


def main() -> None:
    """Evaluates from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--folder", type=Path, help="the detector's; the package's by default")
    parser.add_argument("--peers", action="store_true", help="run the other detectors too")
    parser.add_argument("--portraits", type=int, default=400, help="for the landmarks")
    parser.add_argument("--pasted", type=int, default=1000, help="FER+ faces, pasted; 0 for none")
    parser.add_argument("--rounds", type=int, default=5, help="of the timing; 0 for none")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--curves", type=Path, help="where to draw precision against recall")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    args = parser.parse_args()
    items = list(read_photos(args.shared / "data/photos/valid.parquet", valid=True))
    weights = args.shared / "weights"
    yunet_n = YuNet(weights / "yunet_n_dynamic.onnx", threads=args.threads)
    mien = MienDetector(args.folder, threads=args.threads)
    usual, eager = mien.min_score, mien.with_min_score(MIN_SCORE)

    def find_mien(image_rgb: NDArray[np.uint8]) -> Found:
        found = eager.detect(image_rgb, min_face=0)
        points = np.zeros((0, 5, 2), np.float32) if found.landmarks is None else found.landmarks
        return Found(found.boxes_xyxy, found.scores, points)

    detectors: dict[str, Find] = {"mien": find_mien}
    if args.peers:
        yunet_s = YuNet(weights / "face_detection_yunet_2026may.onnx", threads=args.threads)
        ultraface = UltraFace(weights / "ultraface_rfb_640.onnx", threads=args.threads)
        detectors["YuNet_s"] = lambda image: yunet_s.detect(image, MIN_SCORE)
        detectors["YuNet_n"] = lambda image: yunet_n.detect(image, MIN_SCORE)
        detectors["UltraFace"] = lambda image: ultraface.detect(image, MIN_SCORE)
    results = {name: measure(find, items) for name, find in detectors.items()}
    rows = {name: result.row() for name, result in results.items()}
    rows["mien"] = results["mien"].row(usual)
    portraits = read_portraits(args.shared, args.portraits)
    for name, find in detectors.items():
        if name not in {"UltraFace", "YuNet_n"}:
            mean, median, _ = landmark_error(find, yunet_n, portraits)
            rows[name] |= {"landmarks, mean": mean, "landmarks, median": median}
    apart, together = teacher_scatter(yunet_n, portraits)
    if args.pasted:
        rows["mien"] |= lost_through(args.shared, mien, args.pasted)
        if args.peers:
            yunet = get_detector(f"yunet:{weights / 'face_detection_yunet_2026may.onnx'}")
            rows["YuNet_s"] |= lost_through(args.shared, yunet, args.pasted)
    if args.rounds:
        photo = decode_rgb(next(item.data for item in items if item.source == "fc"))
        for size in FRAMES:
            resized = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))
            detectors["mien"] = mien.detect  # type: ignore[assignment]
            for name, value in time_detectors(detectors, resized, args.rounds).items():
                rows[name][f"ms, {size[0]}x{size[1]}"] = value
    print_table(rows)
    print(
        f"\nYuNet_n's landmarks in the portraits, moved and mirrored: {apart:.3f} from those in "
        f"the portraits as they are; their mean over eight: {together:.3f}"
    )
    print_thresholds(results["mien"])
    if args.curves:
        draw_curves(results, args.curves)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
