"""Puts the detector's folder together: both networks, and how their logits become scores.

``python -m research.detector.fit --detector detector.onnx --refiner refiner.onnx -o FOLDER``
fits the calibration and chooses the threshold on ``data/photos`` valid.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from research.detector.metrics import (
    FALSE,
    HIT,
    Matched,
    calibration_error,
    false_per_hundred,
    match,
    precision_recall,
)
from research.detector.pack import IGNORE, decode_rgb
from research.detector.prepare import Labelled, read_photos

from mien.detectors.boxes import nms
from mien.detectors.bundle import (
    CONFIG,
    FOLDER,
    LANDMARKS,
    NETWORK,
    REFINER,
    Calibration,
    DetectorConfig,
)
from mien.detectors.framing import Framing
from mien.detectors.mien import MienDetector

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Boxes of a lower score have no part in the calibration.
LEAST = 0.02
#: Of two boxes of which one lies so far in the other, the less certain one goes.
INSIDE = DetectorConfig.inside
#: Most false boxes per 100 photographs that the threshold may let through.
LIMITS = {"catdog": 9.0, "texture": 5.0, "fc": 5.0}
_ROUNDS = 3


@dataclass(frozen=True)
class Examined:
    """What both stages said of the proposals in one photograph.

    Args:
        item: The photograph and its labels.
        boxes: (N, 4), the refined ones.
        first: (N,), logits of the first stage.
        second: (N,), logits of the second.
    """

    item: Labelled
    boxes: NDArray[np.float32]
    first: NDArray[np.float32]
    second: NDArray[np.float32]


def examine(detector: MienDetector, items: list[Labelled]) -> list[Examined]:
    """Runs both stages over photographs."""
    examined = []
    for item in items:
        proposed, refined = detector.examine(decode_rgb(item.data))
        examined.append(Examined(item, refined.boxes_xyxy, proposed.scores, refined.scores))
    return examined


def outcome(
    photo: Examined, calibration: Calibration, iou: float
) -> tuple[Matched, NDArray[np.intp]]:
    """Matches what the detector would report of one photograph.

    Returns:
        The match, and which of its proposals its rows are.
    """
    scores = calibration.scores(photo.first, photo.second)
    kept = np.flatnonzero(scores >= LEAST)
    kept = kept[nms(photo.boxes[kept], scores[kept], iou_threshold=iou, inside=INSIDE)]
    item = photo.item
    matched = match(photo.boxes[kept], scores[kept], item.boxes, item.target == IGNORE)
    return matched, kept[np.argsort(-scores[kept], kind="stable")]


def logistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fits logistic regression by Newton's method.

    Args:
        x: (N, F), the first column ones.
        y: (N,), 0 or 1.

    Returns:
        Weights (F,).
    """
    weights = np.zeros(x.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        curve = (x * (p * (1 - p) + 1e-9)[:, None]).T @ x + 1e-4 * np.eye(x.shape[1])
        change = np.linalg.solve(curve, x.T @ (p - y) + 1e-4 * weights)
        weights -= change
        if np.abs(change).max() < 1e-8:
            break
    return weights


def fit_calibration(photos: list[Examined], iou: float) -> Calibration:
    """Fits the weights of both stages: which boxes are reported depends on them, so repeatedly."""
    calibration = Calibration(0.5, 0.5, 0.0)
    for _ in range(_ROUNDS):
        rows, hits = [], []
        for photo in photos:
            matched, index = outcome(photo, calibration, iou)
            told = np.isin(matched.kind, (HIT, FALSE))
            ones = np.ones(int(told.sum()))
            rows.append(np.stack([ones, photo.first[index][told], photo.second[index][told]], 1))
            hits.append(matched.kind[told] == HIT)
        weights = logistic(np.concatenate(rows), np.concatenate(hits).astype(np.float64))
        offset, first, second = (round(float(value), 4) for value in weights)
        calibration = Calibration(first, second, offset)
    return calibration


def error_of(photos: list[Examined], calibration: Calibration, iou: float) -> float:
    """Expected calibration error of what is reported in photographs."""
    parts = [outcome(photo, calibration, iou)[0] for photo in photos]
    scores = np.concatenate([part.scores for part in parts])
    kind = np.concatenate([part.kind for part in parts])
    told = kind >= 0
    return calibration_error(scores[told], kind[told] == HIT)


def choose_threshold(matches: dict[str, list[Matched]]) -> tuple[float, float]:
    """Returns the score from which F1 is best within :data:`LIMITS`, and that F1."""
    thresholds, precision, recall = precision_recall([m for p in matches.values() for m in p])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    for at in np.argsort(-f1):
        score = float(thresholds[at])
        told = {name: false_per_hundred(matches[name], score) for name in LIMITS if name in matches}
        if all(count <= LIMITS[name] for name, count in told.items()):
            return score, float(f1[at])
    return 0.5, 0.0


def main() -> None:
    """Fits and writes the folder from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--refiner", type=Path, required=True)
    parser.add_argument("--landmarks", type=Path, required=True)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("-o", "--output", type=Path, default=FOLDER)
    parser.add_argument("--framing", type=float, nargs=3, default=(1.093, -0.011, -0.022))
    parser.add_argument("--data", default="see docs/detector.md")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    digests = {}
    files = {args.detector: NETWORK, args.refiner: REFINER, args.landmarks: LANDMARKS}
    for source, name in files.items():
        if source.resolve() != (args.output / name).resolve():
            shutil.copyfile(source, args.output / name)
        digests[name] = hashlib.sha256((args.output / name).read_bytes()).hexdigest()
    config = DetectorConfig(
        min_score=0.5, framing=Framing(*args.framing), calibration=Calibration(0.5, 0.5, 0.0),
        sha256=digests, license="apache-2.0", data=args.data,
    )  # fmt: skip
    write(config, args.output)
    photos = examine(
        MienDetector(args.output, threads=1),
        list(read_photos(args.shared / "data/photos/valid.parquet", valid=True)),
    )
    halves = photos[::2], photos[1::2]
    errors = [
        error_of(halves[1 - part], fit_calibration(halves[part], config.iou), config.iou)
        for part in (0, 1)
    ]
    calibration = fit_calibration(photos, config.iou)
    matches: dict[str, list[Matched]] = {}
    for photo in photos:
        matched, _ = outcome(photo, calibration, config.iou)
        matches.setdefault(photo.item.source, []).append(matched)
    threshold, f1 = choose_threshold(matches)
    whole = error_of(photos, calibration, config.iou)
    print(f"{calibration}; F1 {f1:.4f} from {threshold:.3f}")
    print(
        f"ECE {errors[0]:.3f}, {errors[1]:.3f} on the half that was not fitted; {whole:.3f} on all"
    )
    metrics = {"f1": round(f1, 4), "ece_other_half": [round(error, 4) for error in errors]}
    config = replace(
        config, min_score=round(threshold, 3), calibration=calibration, metrics=metrics
    )
    write(config, args.output)


def write(config: DetectorConfig, folder: Path) -> None:
    """Writes ``detector.json``."""
    text = json.dumps(config.to_dict(), indent=2) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
