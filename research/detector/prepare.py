"""Builds the pack that training reads, from ``../shared`` alone.

``python -m research.detector.prepare --shared ../shared -o runs/detector/pack.npz`` keeps the
files as they are; ``--quality 47`` encodes them anew as AVIF, small enough to travel.
Photographs keep their labels. In portraits and photographs of animals a face is what YuNet_n and
UltraFace both see; what one of them sees alone is ignored, or, where somebody looked at it
(``corrections.csv``), background.
"""

from __future__ import annotations

import argparse
import csv
import io
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from research.detector.boxes import iou_matrix
from research.detector.pack import CROP, IGNORE, SOURCES, Pack, decode_rgb, save_pack
from research.detector.teachers import Found, UltraFace, YuNet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CORRECTIONS = Path(__file__).with_name("corrections.csv")
#: How the quality of each source departs from the one asked for, where bytes are scarce.
_QUALITY = {"fc": -2, "mask": -2, "catdog": 3, "texture": -2, "portraits": -4, "animals": -4}


@dataclass(frozen=True)
class Labelled:
    """One image file with its regions; see :class:`research.detector.pack.Pack`."""

    data: bytes
    source: str
    valid: bool
    boxes: NDArray[np.float32]
    target: NDArray[np.float32]
    points: NDArray[np.float32]


def is_valid(name: str) -> bool:
    """Says whether a scene belongs to the tenth that training never sees."""
    return zlib.crc32(name.encode()) % 10 == 0


def read_photos(path: Path, *, valid: bool) -> Iterator[Labelled]:
    """Yields the photographs of ``data/photos`` with the labels they come with."""
    import pyarrow.parquet as pq

    for row in pq.read_table(path).to_pylist():
        regions, given = row["boxes"] or [], row["points"] or []
        boxes = np.array(
            [[r["x1"], r["y1"], r["x2"], r["y2"]] for r in regions], np.float32
        ).reshape(-1, 4)
        points = np.full((len(boxes), 5, 2), np.nan, np.float32)
        for index, values in enumerate(given):
            if values:
                points[index] = np.float32(values).reshape(5, 2)
        target = np.array([IGNORE if r["ignore"] else 1.0 for r in regions], np.float32)
        yield Labelled(row["image"]["bytes"], row["source"], valid, boxes, target, points)


def agreed_labels(first: Found, second: Found, source: str) -> tuple[Found, NDArray[np.float32]]:
    """Takes as labels what two detectors agree on.

    Args:
        first: YuNet_n's faces, from a score of 0.1.
        second: UltraFace's.
        source: ``portraits`` or ``animals``.

    Returns:
        The regions and their targets: the first one's score where both agree, else ``IGNORE``.

    >>> def found(score):
    ...     return Found(np.float32([[0, 0, 9, 9]]), np.float32([score]), np.zeros((1, 5, 2)))
    >>> agreed_labels(found(0.9), found(0.8), "portraits")[1].round(2).tolist()
    [0.9]
    >>> agreed_labels(found(0.9), found(0.1), "portraits")[1].tolist()
    [-1.0]
    """
    strict = source == "animals"
    overlap = iou_matrix(first.boxes, second.boxes)
    agreed = (overlap >= 0.35) * second.scores[None]
    theirs = agreed.max(axis=1, initial=0.0)
    lonely = overlap.max(axis=0, initial=0.0) < 0.35
    least = (0.8, 0.8) if strict else (0.6, 0.6)
    face = (first.scores >= least[0]) & (theirs >= least[1])
    unsure = (np.minimum(first.scores, theirs) >= 0.4) | (first.scores >= (0.9 if strict else 0.4))
    told = face | unsure
    other = lonely & (second.scores >= (0.97 if strict else 0.6))
    target = np.where(face, np.clip(first.scores, 0.7, 1.0), IGNORE)[told]
    blank = np.full((int(other.sum()), 5, 2), np.nan, np.float32)
    regions = Found(
        np.concatenate([first.boxes[told], second.boxes[other]]).astype(np.float32),
        np.concatenate([first.scores[told], second.scores[other]]),
        np.concatenate([first.points[told], blank]).astype(np.float32),
    )
    target = np.concatenate([target, np.full(len(blank), IGNORE)]).astype(np.float32)
    return regions, target


@cache
def _teachers(shared: Path) -> tuple[YuNet, UltraFace]:
    weights = shared / "weights"
    return YuNet(weights / "yunet_n_dynamic.onnx"), UltraFace(weights / "ultraface_rfb_640.onnx")


@cache
def _background(source: str) -> dict[str, list[tuple[float, float]]]:
    """Points, by image, that somebody saw to lie on no face."""
    places: dict[str, list[tuple[float, float]]] = {}
    with _CORRECTIONS.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["scenes"] == source and row["kind"] == "background":
                places.setdefault(row["name"], []).append((float(row["x"]), float(row["y"])))
    return places


def label_scene(shared: Path, name: str, data: bytes, source: str) -> Labelled:
    """Labels one of ``data/scenes`` by the agreement of the teachers."""
    image_rgb = decode_rgb(data)
    yunet, ultraface = _teachers(shared)
    regions, target = agreed_labels(
        yunet.detect_twice(image_rgb), ultraface.detect(image_rgb), source
    )
    keep = np.ones(len(target), bool)
    for x, y in _background(source).get(name, []):
        low, high = regions.boxes[:, :2] <= (x, y), regions.boxes[:, 2:] >= (x, y)
        keep &= ~(low & high).all(axis=1)
    return Labelled(
        data, source, is_valid(name), regions.boxes[keep], target[keep], regions.points[keep]
    )


def label_crop(shared: Path, data: bytes) -> tuple[NDArray[np.uint8], Found]:
    """Finds the face in a ready crop, enlarged threefold on gray; at most one region."""
    gray = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    side = 3 * CROP
    large = Image.fromarray(gray).resize((side, side), Image.Resampling.BICUBIC)
    canvas = np.full((256, 256), 128, np.uint8)
    corner = (256 - side) // 2
    canvas[corner : corner + side, corner : corner + side] = np.asarray(large)
    found = _teachers(shared)[0].detect_twice(np.stack([canvas] * 3, axis=2), 0.4)
    best = np.argsort(-found.scores)[:1]
    boxes, points = (found.boxes[best] - corner) / 3, (found.points[best] - corner) / 3
    sound = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=CROP) >= 0.45 * CROP
    return gray, Found(boxes[sound], found.scores[best][sound], points[sound])


def _encode(item: Labelled, quality: int) -> Labelled:
    if not quality:
        return item
    stream = io.BytesIO()
    Image.open(io.BytesIO(item.data)).convert("RGB").save(
        stream, "AVIF", quality=quality + _QUALITY.get(item.source, 0), speed=8, max_threads=1
    )
    return Labelled(
        stream.getvalue(), item.source, item.valid, item.boxes, item.target, item.points
    )


def _task(task: tuple[Any, ...]) -> Any:
    kind, shared, quality, *rest = task
    if kind == "crop":
        return label_crop(shared, *rest)
    item = rest[0] if kind == "photo" else label_scene(shared, *rest)
    return _encode(item, quality)


def build(shared: Path, quality: int, counts: dict[str, int], workers: int) -> Pack:
    """Reads, labels and encodes everything.

    Args:
        shared: The folder with ``data`` and ``weights``.
        quality: Of the AVIF files, 1..100; 0 keeps the files as they are.
        counts: How many ``portraits``, ``animals`` and ``crops`` to take, 0 for all.
        workers: Processes.
    """
    import pyarrow.parquet as pq

    tasks: list[tuple[Any, ...]] = []
    for split in ("train", "valid"):
        items_of = read_photos(shared / f"data/photos/{split}.parquet", valid=split == "valid")
        tasks += [("photo", shared, quality, item) for item in items_of]
    for source in ("portraits", "animals"):
        rows = pq.read_table(shared / f"data/scenes/{source}.parquet")["image"].to_pylist()
        tasks += [
            ("scene", shared, quality, row["path"], row["bytes"], source)
            for row in rows[: counts[source] or None]
        ]
    crops = pq.read_table(shared / "data/ferplus/train.parquet", columns=["image"])["image"]
    chosen = np.random.default_rng(0).permutation(len(crops))[: counts["crops"] or None]
    tasks += [("crop", shared, quality, crops[int(i)]["bytes"].as_py()) for i in chosen]
    items: list[Labelled] = []
    faces: list[tuple[NDArray[np.uint8], Found]] = []
    with ProcessPoolExecutor(workers) as pool:
        for number, result in enumerate(pool.map(_task, tasks, chunksize=4)):
            items.append(result) if isinstance(result, Labelled) else faces.append(result)
            if number % 200 == 0:
                print(f"{number} of {len(tasks)}", flush=True)
    return assemble(items, faces)


def assemble(items: list[Labelled], faces: list[tuple[NDArray[np.uint8], Found]]) -> Pack:
    """Joins images and ready crops; a crop without a region gets the median box of the others."""
    blobs = [np.frombuffer(item.data, np.uint8) for item in items]
    known = np.concatenate([found.boxes for _, found in faces if len(found.boxes)])
    usual = np.median(known, axis=0).astype(np.float32)
    blank = np.full((5, 2), np.nan, np.float32)
    return Pack(
        encoded=np.concatenate(blobs),
        offsets=np.cumsum([0] + [len(blob) for blob in blobs]),
        source=np.array([SOURCES.index(item.source) for item in items], np.int8),
        valid=np.array([item.valid for item in items]),
        rows=np.cumsum([0] + [len(item.target) for item in items]),
        boxes=np.concatenate([item.boxes for item in items]),
        target=np.concatenate([item.target for item in items]),
        points=np.concatenate([item.points for item in items]),
        faces=np.stack([gray for gray, _ in faces]),
        face_boxes=np.stack([f.boxes[0] if len(f.boxes) else usual for _, f in faces]),
        face_points=np.stack([f.points[0] if len(f.boxes) else blank for _, f in faces]),
    )


def main() -> None:
    """Builds the pack from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--quality", type=int, default=0, help="AVIF quality; 0 keeps the files")
    parser.add_argument("--portraits", type=int, default=0, help="how many; 0 takes all")
    parser.add_argument("--animals", type=int, default=0, help="how many; 0 takes all")
    parser.add_argument("--crops", type=int, default=0, help="how many; 0 takes all")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    counts = {"portraits": args.portraits, "animals": args.animals, "crops": args.crops}
    pack = build(args.shared, args.quality, counts, args.workers)
    save_pack(args.output, pack)
    print(f"{len(pack)} images, {len(pack.boxes)} regions, {len(pack.faces)} crops")
    for index, source in enumerate(SOURCES):
        mine = np.flatnonzero(pack.source == index)
        size = (pack.offsets[mine + 1] - pack.offsets[mine]).sum()
        print(f"{source}: {len(mine)} images, {pack.valid[mine].sum()} valid, {size:,} bytes")


if __name__ == "__main__":
    main()
