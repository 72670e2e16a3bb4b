"""Prints how well the detector finds faces, next to its peers: ``docs/detector-scores.md``.

``python -m research.detector.evaluate --shared ../shared --peers`` searches every photograph of
``data/photos`` valid with the detector in the package, and with YuNet_s, YuNet_n and UltraFace, all
at the photograph's own size and each from the score that is best for its own F1. Landmarks, times
and what the emotion model loses through detection (``through.py``) stand in the same table. With
``--only-times`` the times alone, which takes seconds.
"""

from __future__ import annotations

import argparse
import functools
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


@dataclass(frozen=True)
class Sitter:
    """A portrait, and where the teacher sees the landmarks of its sitter.

    Args:
        image_rgb: uint8 (H, W, 3).
        points: (5, 2), pixels, in the portrait as it is.
        passes: (N, 5, 2), the same in the portrait moved by some pixels, every other one mirrored.
    """

    image_rgb: NDArray[np.uint8]
    points: NDArray[np.float32]
    passes: NDArray[np.float32]


def find_sitters(teacher: YuNet, portraits: list[bytes], passes: int = 8) -> list[Sitter]:
    """Runs the teacher over each portrait as it is, and over eight that were moved."""
    rng, sitters = np.random.default_rng(0), []
    for data in portraits:
        image_rgb = decode_rgb(data)
        found = teacher.detect(image_rgb, 0.6)
        if not len(found.scores):
            continue
        points = found.points[_nearest(found.boxes, _middle(image_rgb))]
        seen = [
            _pass_again(teacher, image_rgb, points, rng.integers(0, 32, 2), mirror=i % 2 == 1)
            for i in range(passes)
        ]
        if sound := [seen_again for seen_again in seen if seen_again is not None]:
            sitters.append(Sitter(image_rgb, points, np.stack(sound)))
    return sitters


def landmark_errors(find: Find, sitters: list[Sitter]) -> dict[str, float]:
    """Mean distances of the sitters' points from the teacher's, as shares of that of the eyes.

    Sitters that are not found do not count: the last row says how many do.
    """
    one, eight = [], []
    for sitter in sitters:
        found = find(sitter.image_rgb)
        sound = found.points[found.scores >= 0.3]
        if not len(sound):
            continue
        points = sound[np.linalg.norm(sound - sitter.points, axis=2).mean(axis=1).argmin()]
        if (away := _away(points, sitter.points)) < 2:  # otherwise it is somebody else's face
            one.append(away)
            eight.append(_away(points, sitter.passes.mean(axis=0)))
    return _landmark_row(one, eight)


def teacher_scatter(sitters: list[Sitter]) -> dict[str, float]:
    """The same of the teacher: other passes against the first, and the first against their mean."""
    one = [
        float(np.mean([_away(seen_again, s.points) for seen_again in s.passes])) for s in sitters
    ]
    return _landmark_row(one, [_away(s.points, s.passes.mean(axis=0)) for s in sitters])


def _landmark_row(one: list[float], eight: list[float]) -> dict[str, float]:
    return {
        "landmarks, from one pass of YuNet_n": float(np.mean(one)),
        "landmarks, from its mean over eight": float(np.mean(eight)),
        "landmarks, portraits": float(len(one)),
    }


def _pass_again(
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
    return nearest if _away(nearest, points) < 1 else None  # otherwise somebody else's face


def _away(points: NDArray[np.floating], known: NDArray[np.floating]) -> float:
    eyes = max(float(np.linalg.norm(known[0] - known[1])), 1.0)
    return float(np.linalg.norm(points - known, axis=1).mean()) / eyes


def _middle(image_rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.array([image_rgb.shape[1], image_rgb.shape[0]]) / 2


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
        digits = 0 if key.endswith("portraits") else digits
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
    detectors: dict[str, Find], photo: NDArray[np.uint8], rounds: int
) -> dict[str, dict[str, float]]:
    """Returns the quickest of several rounds of each detector, in turns, in milliseconds."""
    rows: dict[str, dict[str, float]] = {name: {} for name in detectors}
    for size in FRAMES if rounds else ():
        image_rgb = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))
        best = dict.fromkeys(detectors, float("inf"))
        for _ in range(rounds + 1):  # the first one warms up
            for name, find in detectors.items():
                start = time.perf_counter()
                find(image_rgb)
                best[name] = min(best[name], 1000 * (time.perf_counter() - start))
        for name, value in best.items():
            rows[name][f"ms, {size[0]}x{size[1]}"] = value
    return rows


def read_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--folder", type=Path, help="the detector's; the package's by default")
    parser.add_argument("--peers", action="store_true", help="run the other detectors too")
    parser.add_argument("--portraits", type=int, default=400, help="for the landmarks")
    parser.add_argument("--pasted", type=int, default=3199, help="FER+ faces, pasted; 0 for none")
    parser.add_argument("--rounds", type=int, default=5, help="of the timing; 0 for none")
    parser.add_argument("--only-times", action="store_true", help="measure nothing but times")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--curves", type=Path, help="where to draw precision against recall")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    return parser.parse_args()


def main() -> None:
    """Evaluates from the command line."""
    args = read_arguments()
    items = list(read_photos(args.shared / "data/photos/valid.parquet", valid=True))
    weights, threads = args.shared / "weights", args.threads
    yunet_n = YuNet(weights / "yunet_n_dynamic.onnx", threads=threads)
    mien = MienDetector(args.folder, threads=threads)
    usual, eager = mien.min_score, mien.with_min_score(MIN_SCORE)

    def find_mien(image_rgb: NDArray[np.uint8]) -> Found:
        found = eager.detect(image_rgb, min_face=0)
        points = np.zeros((0, 5, 2), np.float32) if found.landmarks is None else found.landmarks
        return Found(found.boxes_xyxy, found.scores, points)

    detectors: dict[str, Find] = {"mien": find_mien}
    if args.peers:
        yunet_s = YuNet(weights / "face_detection_yunet_2026may.onnx", threads=threads)
        ultraface = UltraFace(weights / "ultraface_rfb_640.onnx", threads=threads)
        peers = {"YuNet_s": yunet_s, "YuNet_n": yunet_n, "UltraFace": ultraface}
        for name, peer in peers.items():
            detectors[name] = functools.partial(peer.detect, min_score=MIN_SCORE)
    photo = decode_rgb(next(item.data for item in items if item.source == "fc"))
    timed = {**detectors, "mien": mien.detect}
    if args.only_times:
        print_table(time_detectors(timed, photo, args.rounds))
        return
    results = {name: measure(find, items) for name, find in detectors.items()}
    rows = {name: result.row() for name, result in results.items()}
    rows["mien"] = results["mien"].row(usual)
    sitters = find_sitters(yunet_n, read_portraits(args.shared, args.portraits))
    for name in [name for name in detectors if name in {"mien", "YuNet_s"}]:
        rows[name] |= landmark_errors(detectors[name], sitters)
    if args.peers:
        rows["YuNet_n"] |= teacher_scatter(sitters)
    if args.pasted:
        rows["mien"] |= lost_through(args.shared, mien, args.pasted)
        if args.peers:
            yunet = get_detector(f"yunet:{weights / 'face_detection_yunet_2026may.onnx'}")
            rows["YuNet_s"] |= lost_through(args.shared, yunet, args.pasted)
    for name, times in time_detectors(timed, photo, args.rounds).items():
        rows[name] |= times
    print_table(rows)
    print_thresholds(results["mien"])
    if args.curves:
        draw_curves(results, args.curves)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
