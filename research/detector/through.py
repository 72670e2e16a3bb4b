"""What detection costs the emotion model: ready crops against the same faces found in scenes.

Each labelled face of FER+ valid is scaled to 48 to 200 pixels and pasted into a photograph; the
detector searches the whole picture; of what it reports in the pasted square (the middle of the box
lies in it) the most confident is cropped by the detector's framing and classified. A face that is
not found counts as wrong. ``--overlap 0.4`` counts a find only if its crop and the square overlap
so much: some of FER+'s squares are loose, and a crop that is right for the face is then too small.
Usage:
``python -m research.detector.through ferplus:DIR SCENES.parquet --detector mien yunet:FILE``; the
table of ``evaluate.py`` has its first line.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Pasted:
    """Faces in scenes, and how they are read without detection.

    Args:
        pictures: N pictures and the squares (4,) that hold a face in them.
        sizes: (N,), sides of the squares in pixels.
        class_ids: (N,), their labels.
        correct: bool (N,), right when read as ready crops.
    """

    pictures: list[tuple[np.ndarray, np.ndarray]]
    sizes: np.ndarray
    class_ids: np.ndarray
    correct: np.ndarray


def paste(
    recognizer: EmotionRecognizer, data: str, scenes: Path, *, faces: int, side: int, rotate: float
) -> Pasted:
    """Pastes so many validation faces into scenes of ``side`` pixels, turned by up to degrees."""
    part = read_manifest(data).split("valid").with_labels()
    rng = np.random.default_rng(0)
    part = part.select(rng.permutation(len(part))[:faces])
    ready = load_faces(part, recognizer.config.preprocessing)
    correct = recognizer.pipeline.logits(ready).argmax(axis=1) == part.class_ids
    column = pq.read_table(scenes, columns=["image"])["image"]
    sizes = rng.integers(48, 201, len(part))
    pictures = []
    for index, size in enumerate(sizes):
        turn = float(rng.uniform(-rotate, rotate)) if rotate else 0.0
        scene = decode(column[int(rng.integers(len(column)))]["bytes"].as_py())
        scene = np.asarray(Image.fromarray(scene).resize((side, side), Image.Resampling.BICUBIC))
        pictures.append(compose(ready[index, :, :, 0], scene, int(size), turn, rng))
    return Pasted(pictures, sizes, part.class_ids, correct)


def read_through(
    recognizer: EmotionRecognizer,
    detector: Detector,
    pasted: Pasted,
    *,
    least: float = 0.0,
    align: str = "none",
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which faces are found and which are read right through a detector, bool (N,)."""
    p = replace(recognizer.config.preprocessing, align=align)
    found, crops = search(detector, pasted.pictures, p, least)
    hit = recognizer.pipeline.logits(crops).argmax(axis=1) == pasted.class_ids
    return found, hit & found


def main() -> None:
    """Prints the table from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--detector", nargs="+", default=["mien"])
    parser.add_argument("--faces", type=int, default=3199)
    parser.add_argument("--scene-size", type=int, default=448)
    parser.add_argument("--rotate", type=float, default=0.0, help="largest turn, degrees")
    parser.add_argument("--overlap", type=float, default=0.0, help="least overlap of a find")
    parser.add_argument("--align", nargs="+", default=["none"], choices=["none", "eyes"])
    args = parser.parse_args()
    recognizer = EmotionRecognizer(detector="none")
    pasted = paste(
        recognizer, args.data, args.scenes, faces=args.faces, side=args.scene_size,
        rotate=args.rotate,
    )  # fmt: skip
    sizes, correct = pasted.sizes, pasted.correct
    print("detector   align   size px   faces   found   ready crops   through detection")
    for name, align in itertools.product(args.detector, args.align):
        detector = get_detector(name)
        found, hit = read_through(recognizer, detector, pasted, least=args.overlap, align=align)
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
