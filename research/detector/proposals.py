"""What the detector proposes in training photographs, as small crops with labels: for the refiner.

``python -m research.detector.proposals --pack PACK --network detector.onnx -o FOLDER``
searches every training photograph at its own size, once more mirrored at a smaller one, and that
once more with squares pasted into it: gray faces of FER+, and pieces without a face. Typed again,
it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from research.detector.boxes import iou_matrix
from research.detector.pack import CROP, IGNORE, Pack, load_pack
from research.detector.teachers import MIRRORED

from mien.backends.session import Session
from mien.detectors.cells import FaceProposer
from mien.detectors.framing import Framing, crop_box
from mien.detectors.scales import ScaleRules
from mien.detectors.search import PyramidSearch
from mien.preprocess import Preprocessing, crop_faces

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Side of a stored crop, in pixels, and that of its square as a multiple of the proposal's side.
SIDE, CONTEXT = 56, 2.0
#: Lowest logit of a proposal, and most proposals of one photograph that are kept of each kind.
MIN_LOGIT, MOST = -2.2, 40
#: Squares that are pasted into a photograph at most.
PASTED = 6
#: Photographs whose proposals are stored together.
PART = 120
#: Overlap with a face from which a proposal is to be moved onto it, and up to which it is none.
FACE_IOU, OTHER_IOU = 0.4, 0.2
_CROP = Preprocessing(size=SIDE, color="rgb")
#: Boxes (G, 4), targets (G,) and points (G, 5, 2) of the labelled regions of a photograph.
Labels = tuple["NDArray[np.float32]", "NDArray[np.float32]", "NDArray[np.float32]"]


@dataclass(frozen=True)
class Proposals:
    """N proposals of the detector.

    Args:
        crops: uint8 (N, 56, 56, 3), squares of twice the proposal's side around it.
        target: float32 (N,), how certain it is that this is a face, 0..1.
        boxes: float32 (N, 4), the face's corners as shares of the crop, -0.5..0.5 from its middle;
            NaN for what is none.
        points: float32 (N, 5, 2), likewise; NaN where unknown.
        logits: float32 (N,), the detector's; NaN for faces that it was not asked about.
        source: int8 (N,), index into ``SOURCES``.
    """

    crops: NDArray[np.uint8]
    target: NDArray[np.float32]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    logits: NDArray[np.float32]
    source: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.target)

    @classmethod
    def join(cls, parts: list[Proposals]) -> Proposals:
        """Returns all of several."""
        names = [item.name for item in fields(cls)]
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def collect(
    search: PyramidSearch,
    image_rgb: NDArray[np.uint8],
    labels: Labels,
    source: int,
    rng: np.random.Generator,
) -> Proposals:
    """Labels what the detector proposes in one photograph, and its faces a little displaced.

    Args:
        search: The detector's first stage.
        image_rgb: uint8 (H, W, 3).
        labels: Boxes (G, 4), targets (G,) and points (G, 5, 2) of the labelled regions.
        source: Index into ``SOURCES``.
        rng: Chooses which ones to keep, and the displacement.
    """
    truth, target, points = labels
    found = search.propose(image_rgb, MIN_LOGIT)
    faces = truth[target != IGNORE]
    size = (faces[:, 2:] - faces[:, :2]).max(axis=1, initial=0)
    faces = faces[size >= 10][:MOST]
    side = np.tile((faces[:, 2:] - faces[:, :2]), 2)
    moved = faces + side * rng.uniform(-0.12, 0.12, faces.shape).astype(np.float32)
    boxes = np.concatenate([found.boxes_xyxy, moved.astype(np.float32)])
    logits = np.concatenate([found.scores, np.full(len(moved), np.nan, np.float32)])
    overlap = iou_matrix(boxes, truth)
    best = overlap.argmax(axis=1) if len(truth) else np.zeros(len(boxes), int)
    most = overlap.max(axis=1, initial=0.0)
    value = target[best] if len(truth) else np.zeros(len(boxes), np.float32)
    is_face = (most >= FACE_IOU) & (value != IGNORE)
    hidden = _inside(boxes, truth[target == IGNORE]) >= 0.35
    is_other = (most < OTHER_IOU) & ~hidden & np.isfinite(logits)
    kept = np.concatenate([
        rng.permutation(np.flatnonzero(is_face))[: 2 * MOST],
        rng.permutation(np.flatnonzero(is_other))[:MOST],
    ])  # fmt: skip
    height, width = image_rgb.shape[:2]
    centre = (boxes[kept, :2] + boxes[kept, 2:]) / 2
    kept = kept[((centre > 0) & (centre < (width, height))).all(axis=1)]
    squares = crop_box(boxes[kept], Framing(scale=CONTEXT))
    middle = (squares[:, :2] + squares[:, 2:]) / 2
    scale = squares[:, 2] - squares[:, 0]
    shares = np.full((len(kept), 4), np.nan)
    marks = np.full((len(kept), 5, 2), np.nan)
    face = is_face[kept]
    if face.any():
        mine = best[kept[face]]
        shares[face] = (truth[mine] - np.tile(middle[face], 2)) / scale[face, None]
        marks[face] = (points[mine] - middle[face, None]) / scale[face, None, None]
    return Proposals(
        crop_faces(image_rgb, squares, _CROP),
        np.where(face, value[kept], 0).astype(np.float32),
        shares.astype(np.float32),
        marks.astype(np.float32),
        logits[kept].astype(np.float32),
        np.full(len(kept), source, np.int8),
    )


def _inside(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest share of each box (N, 4) that lies in one of the others (M, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6)
    share: NDArray[np.float32] = (shared / area[:, None]).max(axis=1, initial=0.0)
    return share


def mirror(
    image_rgb: NDArray[np.uint8], boxes: NDArray[np.float32], points: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Returns an image and its labels mirrored."""
    width = image_rgb.shape[1]
    turned = boxes[:, [2, 1, 0, 3]] * np.float32([-1, 1, -1, 1]) + np.float32([width, 0, width, 0])
    marks = points[:, MIRRORED] * np.float32([-1, 1]) + np.float32([width, 0])
    return np.ascontiguousarray(image_rgb[:, ::-1]), turned, marks


def with_pasted(
    image_rgb: NDArray[np.uint8], labels: Labels, pack: Pack, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Labels]:
    """Pastes gray squares: some of the pack's ready crops, and pieces of the image without a face.

    A square of a face is cut from brow to chin and has neither head nor neck; a piece teaches that
    an edge around a square says nothing. Regions that are mostly covered are ignored from then on.
    """
    boxes, target, points = labels
    height, width = image_rgb.shape[:2]
    image = image_rgb.copy()
    for _ in range(PASTED):
        side = int(np.exp(rng.uniform(np.log(24), np.log(200))))
        if side >= min(height, width) / 2:
            continue
        x, y = int(rng.integers(width - side)), int(rng.integers(height - side))
        square = np.float32([[x, y, x + side, y + side]])
        if _inside(square, boxes)[0] > 0.3:
            continue
        index = int(rng.integers(len(pack.faces)))
        is_face = rng.random() < 0.6
        piece = pack.faces[index]
        if not is_face:
            left, top = int(rng.integers(width - side)), int(rng.integers(height - side))
            if _inside(np.float32([[left, top, left + side, top + side]]), boxes)[0] > 0:
                continue
            cut = image_rgb[top : top + side, left : left + side]
            piece = np.asarray(Image.fromarray(cut).convert("L"))
        pasted = Image.fromarray(piece).resize((side, side), Image.Resampling.BICUBIC)
        image[y : y + side, x : x + side] = np.asarray(pasted)[..., None]
        target = np.where(_inside(boxes, square) > 0.3, np.float32(IGNORE), target)
        if is_face:
            place, scale = np.float32([x, y]), np.float32(side / CROP)
            box = pack.face_boxes[index] * scale + np.tile(place, 2)
            boxes = np.concatenate([boxes, box[None]])
            target = np.concatenate([target, np.ones(1, np.float32)])
            points = np.concatenate([points, (pack.face_points[index] * scale + place)[None]])
    return image, (boxes, target, points)


@cache
def _opened(pack: Path, network: Path) -> tuple[Pack, PyramidSearch]:
    return load_pack(pack), PyramidSearch(FaceProposer(Session(network, threads=1)), ScaleRules())


def _task(task: tuple[Path, Path, int]) -> Proposals:
    path, network, index = task
    pack, search = _opened(path, network)
    rng = np.random.default_rng(index)
    image, rows = pack.image(index), pack.regions(index)
    boxes, target, points = pack.boxes[rows], pack.target[rows], pack.points[rows]
    source = int(pack.source[index])
    parts = [collect(search, image, (boxes, target, points), source, rng)]
    image, boxes, points = mirror(image, boxes, points)
    factor = float(np.exp(rng.uniform(np.log(0.4), np.log(0.85))))
    size = max(32, round(image.shape[1] * factor)), max(32, round(image.shape[0] * factor))
    scale = np.float32([size[0] / image.shape[1], size[1] / image.shape[0]])
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
    labels = boxes * np.tile(scale, 2), target, points * scale
    parts.append(collect(search, small, labels, source, rng))
    parts.append(collect(search, *with_pasted(small, labels, pack, rng), source, rng))
    return Proposals.join(parts)


def read_proposals(folder: Path, most: int = 9000) -> Proposals:
    """Returns the proposals of all parts in a folder; of each at most so many, by chance."""
    parts, rng = [], np.random.default_rng(0)
    for path in sorted(folder.glob("part-*.npz")):
        with np.load(path) as file:
            chosen = rng.permutation(len(file["target"]))[:most]
            parts.append(Proposals(**{name: file[name][chosen] for name in file.files}))
    return Proposals.join(parts)


def main() -> None:
    """Collects proposals from the command line; parts that are there already stay as they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    chosen = np.flatnonzero(~load_pack(args.pack).valid)
    # In an order of chance, so that the parts that are there are a fair sample at any time.
    chosen = np.random.default_rng(0).permutation(chosen).tolist()
    with ProcessPoolExecutor(args.workers) as pool:
        for first in range(0, len(chosen), PART):
            path = args.output / f"part-{first // PART:03d}.npz"
            if path.is_file():
                continue
            tasks = [(args.pack, args.network, index) for index in chosen[first : first + PART]]
            found = Proposals.join(list(pool.map(_task, tasks, chunksize=8)))
            values = {item.name: getattr(found, item.name) for item in fields(found)}
            with path.with_suffix(".part").open("wb") as file:
                np.savez(file, **values)
            path.with_suffix(".part").replace(path)
            print(f"{first + len(tasks)} of {len(chosen)}: {len(found)} proposals", flush=True)


if __name__ == "__main__":
    main()
