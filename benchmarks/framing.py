"""How a detector's box relates to the framing of FER2013's faces.

    python benchmarks/framing.py ../shared/data/ferplus \\
        --yunet ../shared/weights/face_detection_yunet_2026may.onnx \\
        --photos ../shared/data/scenes/portraits.parquet

Two ways, because neither is enough alone. *Pasted*: FER2013's pictures are 48x48 crops without
surroundings, so each is enlarged and given a border for the detector to look at; measured on the
train split, verified on the valid split at other scales and places. *Photos*: the cascade, which
needs no surroundings and with which FER2013 was cut, serves as the ruler on real photographs.
``docs/framing.md`` holds the figures and what was taken from them.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from mien.detectors import Detector, Framing, crop_box, get_detector
from mien.images import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Border name -> numpy.pad's arguments. No border is natural; agreement between them is the test.
BORDERS: dict[str, dict[str, Any]] = {
    "gray": {"mode": "constant", "constant_values": 128},
    "edge": {"mode": "edge"},
    "reflect": {"mode": "symmetric"},
}
VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")


def read_faces(path: Path, count: int, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Returns ``count`` random faces (48, 48) that no rater called "not a face" or unknown."""
    table = pq.read_table(path).to_pydict()
    clean = np.flatnonzero((np.array(table["NF"]) == 0) & (np.array(table["unknown"]) == 0))
    chosen = rng.choice(clean, count, replace=False)
    pictures = (Image.open(io.BytesIO(table["image"][i]["bytes"])) for i in chosen)
    return [np.asarray(picture.convert("L")) for picture in pictures]


def make_scene(
    face: NDArray[np.uint8], border: str, side: int, room: tuple[int, int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Enlarges a face to ``side`` pixels, adds ``room`` (left, top, right, bottom) around it.

    Returns:
        The scene, uint8 (H, W, 3), and the square (4,) that the face fills.
    """
    large = np.asarray(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC))
    left, top, right, bottom = room
    gray = np.pad(large, ((top, bottom), (left, right)), **BORDERS[border])
    square = np.array([left, top, left + side, top + side], np.float64)
    return np.repeat(gray[:, :, None], 3, axis=2), square


def find(
    detector: Detector, scene: NDArray[np.uint8], square: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Returns the largest box whose centre lies in the middle half of the face, if there is one."""
    centre, side = (square[:2] + square[2:]) / 2, square[2] - square[0]
    for box in detector.detect(scene).boxes_xyxy.astype(np.float64):
        if (np.abs((box[:2] + box[2:]) / 2 - centre) < side / 4).all():
            found: NDArray[np.float64] = box
            return found
    return None


def iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Intersection over union of two boxes (4,)."""
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def spread(values: NDArray[np.float64]) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]"


def relation(box: NDArray[np.float64], square: NDArray[np.float64]) -> list[float]:
    """Returns side / max(w, h), side / sqrt(w h), and the shift of centres over the side."""
    width, height = box[2:] - box[:2]
    side = square[2] - square[0]
    shift = ((square[:2] + square[2:]) - (box[:2] + box[2:])) / (2 * side)
    return [side / max(width, height), side / np.sqrt(width * height), *shift]


def summarize(rows: list[list[float]]) -> Framing:
    """Prints medians and quartiles; returns the framing that the medians make."""
    table = np.array(rows)
    for name, column in zip(("max(w, h)", "sqrt(w h)"), table.T[:2], strict=True):
        low, middle, high = np.percentile(column, [25, 50, 75])
        print(f"    side / {name}  {spread(column)}  spread {(high - low) / middle:.3f}")
    print(f"    shift_x           {spread(table[:, 2])}")
    print(f"    shift_y           {spread(table[:, 3])}")
    _, scale, shift_x, shift_y = (round(float(value), 3) for value in np.median(table, axis=0))
    return Framing(scale, shift_x, shift_y)


def measure_pasted(detector: Detector, faces: list[NDArray[np.uint8]]) -> Framing:
    pooled: list[list[float]] = []
    for border in BORDERS:
        rows = []
        for face in faces:
            scene, square = make_scene(face, border, 192, (96, 96, 96, 96))
            box = find(detector, scene, square)
            if box is not None:
                rows.append(relation(box, square))
        print(f"  {detector.name}, border {border}: found {len(rows)} of {len(faces)}")
        summarize(rows)
        pooled += rows
    print(f"  {detector.name}, all borders")
    return summarize(pooled)


def verify_pasted(detector: Detector, faces: list[NDArray[np.uint8]], seed: int) -> None:
    """Crops other faces, at random scales and places, by the detector's own framing."""
    for border in BORDERS:
        rng = np.random.default_rng(seed)
        overlaps = []
        for face in faces:
            side = int(rng.integers(64, 240))
            left, top, right, bottom = (int(value) for value in rng.integers(side // 3, side, 4))
            scene, square = make_scene(face, border, side, (left, top, right, bottom))
            box = find(detector, scene, square)
            if box is not None:
                overlaps.append(iou(crop_box(box, detector.framing), square))
        print(
            f"  {detector.name}, border {border}: found {len(overlaps)} of {len(faces)}, "
            f"IoU of crop and true face {spread(np.array(overlaps))}"
        )


def pair(
    detector: Detector, ruler: Detector, photos: list[NDArray[np.uint8]]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Returns (box, the ruler's framed square) for photos where both see the same face."""
    pairs = []
    for photo in photos:
        for box in ruler.detect(photo, max_faces=1).boxes_xyxy:
            square = crop_box(box, ruler.framing)
            if (other := find(detector, photo, square)) is not None:
                pairs.append((other, square))
    return pairs


def compare_on_photos(detector: Detector, ruler: Detector, photos: list[NDArray[np.uint8]]) -> None:
    """Measures on the first half of the photos, verifies on the second."""
    half = len(photos) // 2
    known = pair(detector, ruler, photos[:half])
    print(f"  {detector.name} by {ruler.name} on photos: both found {len(known)} of {half}")
    print(f"  -> {summarize([relation(box, square) for box, square in known])}")
    fresh = pair(detector, ruler, photos[half:])
    overlaps = [iou(crop_box(box, detector.framing), square) for box, square in fresh]
    print(
        f"  other photos, {detector.framing}: both found {len(fresh)} of {len(photos) - half}, "
        f"IoU of the two crops {spread(np.array(overlaps))}"
    )


def read_photos(path: Path, count: int, rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    column = pq.read_table(path, columns=["image"])["image"]
    chosen = rng.choice(len(column), count, replace=False)
    return [decode(column[int(i)].as_py()["bytes"]) for i in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="FER+ folder: train.parquet and valid.parquet")
    parser.add_argument("--yunet", required=True, help="ONNX file of YuNet")
    parser.add_argument("--photos", type=Path, help="parquet of photographs of one person each")
    parser.add_argument("--faces", type=int, default=150, help="faces per split (default 150)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    train = read_faces(options.data / "train.parquet", options.faces, rng)
    valid = read_faces(options.data / "valid.parquet", options.faces, rng)
    haar = get_detector("haar")
    yunet = get_detector(f"yunet:{options.yunet}", threads=1)
    mien = get_detector("mien", threads=1)
    for detector in (haar, yunet, mien):
        print(f"Pasted faces, {detector.name}")
        print(f"  -> {measure_pasted(detector, train)}; it has {detector.framing}")
        verify_pasted(detector, valid, options.seed)
    if options.photos:
        print("Photographs")
        photos = read_photos(options.photos, 4 * options.faces, rng)
        for detector in (yunet, mien):
            compare_on_photos(detector, haar, photos)


if __name__ == "__main__":
    main()
