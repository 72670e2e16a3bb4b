"""Which faces are read, what is held out of them, and how each source is framed.

A :class:`Source` says how its stored pictures relate to the framing of FER2013's faces, so that
every face can be brought to one frame. The numbers are medians of YuNet on 250 faces of each. The
eyes of FER2013 are 0.353 of the frame apart and lie at 0.381 of its height; ``affect`` and
``contempt`` are brought to that. The loose squares of ``cfee``, ``moodme``, ``portraits`` are cut
as mien's detectors frame them, where the eyes are about 0.38 apart.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from mien.data.readers.ferplus import VOTE_COLUMNS, majority_class, vote_targets
from mien.detectors.framing import Framing, crop_box

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
#: Weak labels: many of the faces called contempt are neutral or smile a little.
CONTEMPT_TARGET = (0.25, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.55)
#: mien's own detector, as its ``config.json`` has it.
DETECTOR_FRAMING = Framing(scale=1.057, shift_x=-0.004, shift_y=-0.021)
#: How much wider than the frame the crops of photographs are, so that zooming out stays real.
CANVAS = 1.4
MIN_PHOTO_FACE = 40


@dataclass(frozen=True)
class Source:
    """How a source's faces are stored and framed.

    Args:
        name: Short name.
        side: Side of the stored squares in pixels.
        crop: Share of the original's side that is stored, centred.
        frame: Side of FER2013's frame as a share of the stored side.
        shift_y: How far the frame's centre lies below the stored centre, in stored sides.
        quality: Of the AVIF sheets, 0..100.
    """

    name: str
    side: int
    crop: float = 1.0
    frame: float = 1.0
    shift_y: float = 0.0
    quality: int = 66


SOURCES = (
    Source("ferplus", 48, quality=65),
    Source("affect", 64, frame=1.064, shift_y=-0.041, quality=55),
    Source("cfee", 96, crop=0.952, frame=0.66, shift_y=-0.01),
    Source("contempt", 72, frame=1.025, shift_y=-0.017, quality=60),
    Source("moodme", 96, crop=0.952, frame=0.66, shift_y=-0.01),
    Source("portraits", 80, crop=0.68, frame=0.68, quality=52),
    Source("photos", 72, frame=1 / CANVAS, quality=52),
)


@dataclass(frozen=True, eq=False)
class Faces:
    """N faces of one source.

    Args:
        images: uint8 (N, S, S).
        targets: float32 (N, 8), rows summing to 1; zeros where nothing is known.
        class_ids: int64 (N,), -1 where there is no majority, or a compound expression.
        valid: bool (N,), held out of training.
        rows: int64 (N,), the row of the original table (for photographs: 100 * row + face).
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    valid: NDArray[np.bool_]
    rows: NDArray[np.int64]


def square(data: bytes, crop: float, side: int) -> NDArray[np.uint8]:
    """Decodes a picture and scales its centred square to uint8 (side, side), gray."""
    with Image.open(io.BytesIO(data)) as picture:
        gray = picture.convert("L")
    half, x, y = min(gray.size) * crop / 2, gray.width / 2, gray.height / 2
    box = (x - half, y - half, x + half, y + half)
    return np.asarray(gray.resize((side, side), Image.Resampling.BILINEAR, box=box))


def _squares(images: list[dict[str, Any]], source: Source) -> NDArray[np.uint8]:
    return np.stack([square(image["bytes"], source.crop, source.side) for image in images])


def read_ferplus(data: Path, source: Source) -> Faces:
    """Reads FER+: train without every face that also stands in valid, valid by majority only."""
    parts: list[tuple[Any, ...]] = []
    known: set[bytes] = set()
    for split in ("valid", "train"):
        table = pq.read_table(data / "ferplus" / f"{split}.parquet")
        votes = np.stack([table[name].to_numpy() for name in VOTE_COLUMNS], axis=1).astype(np.int64)
        images = _squares(table["image"].to_pylist(), source)
        class_ids = majority_class(votes)
        train = np.full(len(votes), split == "train")
        targets, keep = vote_targets(votes, class_ids, train, "soft")
        pixels = [image.tobytes() for image in images]
        if split == "valid":
            known = set(pixels)
            keep = class_ids >= 0
        else:
            keep &= np.array([content not in known for content in pixels])
        rows = np.flatnonzero(keep)
        parts.append((images[keep], targets[keep], class_ids[keep], ~train[keep], rows))
    return Faces(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def read_labelled(path: Path, source: Source, valid_rule: str) -> Faces:
    """Reads a table of ``data/faces``.

    Args:
        path: The table.
        source: How to store it.
        valid_rule: ``"split"``: the column says it; ``"subject"``: every fifth ``subject_id`` in
            sorted order, the first included; ``"fifth"``, ``"tenth"``: every so many rows.
    """
    table = pq.read_table(path)
    n = table.num_rows
    targets = np.array(table["votes"].to_pylist(), np.float32)
    class_ids = table["label"].to_numpy().astype(np.int64)
    # Compound expressions name their category; basic ones do not.
    compound = np.array([":" in name for name in table["source"].to_pylist()])
    class_ids[compound | (targets.max(axis=1) < 0.99)] = -1
    if source.name == "contempt":
        targets[:] = CONTEMPT_TARGET
    if valid_rule == "split":
        valid = np.array([split == "valid" for split in table["split"].to_pylist()])
    elif valid_rule == "subject":
        subjects = table["subject_id"].to_pylist()
        held_out = set(sorted(set(subjects))[::5])
        valid = np.array([subject in held_out for subject in subjects])
    else:
        valid = np.arange(n) % {"fifth": 5, "tenth": 10}[valid_rule] == 0
    return Faces(
        _squares(table["image"].to_pylist(), source), targets, class_ids, valid, np.arange(n)
    )


def read_portraits(path: Path, source: Source) -> Faces:
    """Reads portraits without labels; their faces stand in the middle."""
    images = _squares(pq.read_table(path)["image"].to_pylist(), source)
    return _unlabelled(images, np.arange(len(images)))


def read_photos(path: Path, source: Source, *, seed: int = 0, max_faces: int = 6000) -> Faces:
    """Cuts faces of photographs out of their human boxes, framed as the detector would."""
    table = pq.read_table(path)
    crops, rows = [], []
    for row, record in enumerate(table.to_pylist()):
        if record["source"] == "mask":
            continue
        boxes = [
            [b[k] for k in ("x1", "y1", "x2", "y2")] for b in record["boxes"] if not b["ignore"]
        ]
        sizes = [((x2 - x1) * (y2 - y1)) ** 0.5 for x1, y1, x2, y2 in boxes]
        large = [k for k, size in enumerate(sizes) if size >= MIN_PHOTO_FACE]
        if not large:
            continue
        with Image.open(io.BytesIO(record["image"]["bytes"])) as picture:
            gray = np.asarray(picture.convert("L"))
        for face in large:
            box = crop_box(boxes[face], DETECTOR_FRAMING, margin=CANVAS)
            crops.append(_cut(gray, box, source.side))
            rows.append(100 * row + face)
    order = np.sort(np.random.default_rng(seed).permutation(len(crops))[:max_faces])
    return _unlabelled(np.stack(crops)[order], np.array(rows)[order])


def _cut(gray: NDArray[np.uint8], box: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    reach = int(np.ceil(box[2] - box[0])) + 2
    around = Image.fromarray(np.pad(gray, reach, mode="edge"))
    place = tuple(float(value) + reach for value in box)
    return np.asarray(around.resize((side, side), Image.Resampling.BILINEAR, box=place))


def _unlabelled(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> Faces:
    n = len(images)
    nothing = np.zeros((n, len(LABELS)), np.float32)
    return Faces(images, nothing, np.full(n, -1), np.zeros(n, np.bool_), rows)


def read_source(data: Path, source: Source) -> Faces:
    """Reads one source from the folder of ``ferplus``, ``faces``, ``scenes``, ``photos``."""
    if source.name == "ferplus":
        return read_ferplus(data, source)
    if source.name == "portraits":
        return read_portraits(data / "scenes" / "portraits.parquet", source)
    if source.name == "photos":
        return read_photos(data / "photos" / "train.parquet", source)
    if source.name == "affect":
        train, valid = (
            read_labelled(data / "faces" / f"affect_{split}.parquet", source, "split")
            for split in ("train", "valid")
        )
        names = ("images", "targets", "class_ids", "valid", "rows")
        return Faces(*(np.concatenate([getattr(train, k), getattr(valid, k)]) for k in names))
    rule = {"cfee": "subject", "contempt": "tenth", "moodme": "fifth"}[source.name]
    return read_labelled(data / "faces" / f"{source.name}_train.parquet", source, rule)
