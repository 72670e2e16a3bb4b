"""What detection costs the emotion model: ready crops against the same faces found in scenes.

Each labelled face of FER+ valid is scaled to 48 to 200 pixels and pasted into a photograph; the
detector searches the whole picture; of what it reports in the pasted square (the middle of the box
lies in it) the most confident is cropped by the detector's framing and classified. A face that is
not found counts as wrong. ``--overlap 0.4`` counts a find only if its crop and the square overlap
so much: some of FER+'s squares are loose, and a crop that is right for the face is then too small.
Usage:
``python benchmarks/through_detection.py ferplus:DIR SCENES.parquet --detector mien yunet:FILE``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from mien import EmotionRecognizer
from mien.data import read_manifest
from mien.data.faces import load_faces
from mien.detectors import Detector, crop_box, get_detector
from mien.images import decode
from mien.metrics import wilson_interval
from mien.preprocess import Preprocessing, crop_faces

BANDS = ((48, 64), (64, 96), (96, 140), (140, 200))


def overlap(boxes: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) with one square."""
    inner = np.minimum(boxes[:, 2:], square[2:]) - np.maximum(boxes[:, :2], square[:2])
    shared = np.maximum(inner, 0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return shared / (areas + (square[2:] - square[:2]).prod() - shared)


def compose(
    face: np.ndarray, scene_rgb: np.ndarray, size: int, turn: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pastes a gray face (48, 48), turned by degrees; returns the picture and the true square."""
    height, width = scene_rgb.shape[:2]
    x, y = int(rng.integers(0, width - size + 1)), int(rng.integers(0, height - size + 1))
    picture = Image.fromarray(scene_rgb.copy())
    large = Image.fromarray(face).resize((size, size), Image.Resampling.BICUBIC)
    if turn:
        mask = Image.new("L", large.size, 255).rotate(turn, Image.Resampling.BICUBIC, expand=True)
        large = large.rotate(turn, Image.Resampling.BICUBIC, expand=True)
        corner = (x - (large.width - size) // 2, y - (large.height - size) // 2)
        picture.paste(large.convert("RGB"), corner, mask)
    else:
        picture.paste(large.convert("RGB"), (x, y))
    return np.asarray(picture), np.array([x, y, x + size, y + size], float)


def search(
    detector: Detector,
    pictures: list[tuple[np.ndarray, np.ndarray]],
    p: Preprocessing,
    least: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns found (N,) and crops (N, S, S, 1), zeros where nothing was found."""
    found = np.zeros(len(pictures), bool)
    crops = np.zeros((len(pictures), p.size, p.size, p.channels), np.uint8)
    for index, (image_rgb, square) in enumerate(pictures):
        faces = detector.detect(image_rgb)
        if not len(faces):
            continue
        squares = crop_box(faces.boxes_xyxy, detector.framing)
        middles = (faces.boxes_xyxy[:, :2] + faces.boxes_xyxy[:, 2:]) / 2
        inside = ((middles >= square[:2]) & (middles <= square[2:])).all(axis=1)
        inside &= overlap(squares, square) >= least
        best = int(np.where(inside, faces.scores, -1).argmax())
        if inside[best]:
            found[index] = True
            points = None if faces.landmarks is None else faces.landmarks[[best]]
            crops[index] = crop_faces(image_rgb, squares[[best]], p, landmarks=points)[0]
    return found, crops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--detector", nargs="+", default=["haar"])
    parser.add_argument("--faces", type=int, default=3199)
    parser.add_argument("--scene-size", type=int, default=448)
    parser.add_argument("--rotate", type=float, default=0.0, help="largest turn, degrees")
    parser.add_argument("--overlap", type=float, default=0.0, help="least overlap of a find")
    parser.add_argument("--align", nargs="+", default=["none"], choices=["none", "eyes"])
    arguments = parser.parse_args()
    recognizer = EmotionRecognizer(detector="none")
    part = read_manifest(arguments.data).split("valid").with_labels()
    rng = np.random.default_rng(0)
    part = part.select(rng.permutation(len(part))[: arguments.faces])
    ready = load_faces(part, recognizer.config.preprocessing)
    correct = recognizer.pipeline.logits(ready).argmax(axis=1) == part.class_ids
    column = pq.read_table(arguments.scenes, columns=["image"])["image"]
    side = arguments.scene_size
    sizes = rng.integers(48, 201, len(part))
    pictures = []
    for index, size in enumerate(sizes):
        turn = float(rng.uniform(-arguments.rotate, arguments.rotate)) if arguments.rotate else 0.0
        scene = decode(column[int(rng.integers(len(column)))]["bytes"].as_py())
        scene = np.asarray(Image.fromarray(scene).resize((side, side), Image.Resampling.BICUBIC))
        pictures.append(compose(ready[index, :, :, 0], scene, int(size), turn, rng))
    print("detector   align   size px   faces   found   ready crops   through detection")
    for name in arguments.detector:
        detector = get_detector(name)
        for align in arguments.align:
            p = replace(recognizer.config.preprocessing, align=align)
            found, crops = search(detector, pictures, p, arguments.overlap)
            hit = (recognizer.pipeline.logits(crops).argmax(axis=1) == part.class_ids) & found
            for low, high in ((48, 200), *BANDS):
                inside = (sizes >= low) & (sizes <= high)
                bounds = wilson_interval(int(hit[inside].sum()), int(inside.sum()))
                lost = 100 * (hit[inside].mean() - correct[inside].mean())
                print(
                    f"{detector.name:<10} {align:<6} {low:>4}-{high:<4} {inside.sum():>5}  "
                    f"{found[inside].mean():>6.1%}   {correct[inside].mean():>10.2%}   "
                    f"{hit[inside].mean():>7.2%} ({bounds[0]:.1%} to {bounds[1]:.1%}) {lost:+.2f}"
                )


if __name__ == "__main__":
    main()
