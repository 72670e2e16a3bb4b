"""``mien finder candidates``: what the detector proposes on training pictures, and what it is.

The second network of ``mien:verify`` learns from these. Photographs are searched at several
sizes; ready faces are pasted into them as hard squares, and so are squares of other photographs
and of what teachers took for faces, so that an edge gives nothing away.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from mien.atomic import replacing
from mien.data import read_manifest
from mien.data.faces import load_faces
from mien.errors import DataError
from mien.faces import crop_box
from mien.faces.finder import FinderDetector
from mien.preprocess import Preprocessing, crop_faces
from mien.train.finder.boxes import covered_by, iou_matrix
from mien.train.finder.compose import compose
from mien.train.finder.labels import load_labels
from mien.train.finder.pasting import Pasting
from mien.train.finder.pool import SCENES, load_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.train.finder.pool import Pool, Source

#: Where a candidate comes from, by number.
GROUPS = (*SCENES, "pasted", "composed")
PASTED = GROUPS.index("pasted")
#: Side of the stored crops in pixels, and how much more than the detector's square they show.
STORED, MARGIN = 64, 1.4
#: Lowest score of a proposal: below that of ``mien:verify``, for more to learn from.
PROPOSE = 0.03
#: Overlap with a labelled face from which a candidate is one, and below which it is none.
_FACE, _NONE = 0.5, 0.25
#: Most candidates a picture that are no face, by group: those of higher scores more often.
_MOST = (8, 8, 20, 10, 12)
#: In how many parts candidates are made: the same whatever the number of processes.
PARTS = 8
_SIDE, _VIEW = 448, 320
_SIZES = (36, 210)
_CROP = Preprocessing(size=STORED, color="gray")


@dataclass(frozen=True)
class Candidates:
    """N proposals.

    Args:
        crops: uint8 (N, 64, 64), gray, around the detector's square.
        scores: float32 (N,), of the detector.
        is_face: bool (N,).
        group: int8 (N,), index into ``GROUPS``.
    """

    crops: NDArray[np.uint8]
    scores: NDArray[np.float32]
    is_face: NDArray[np.bool_]
    group: NDArray[np.int8]


@dataclass(frozen=True)
class Order:
    """What to make candidates of: see :func:`gather`."""

    scenes: Path
    ferplus: Path
    labels: Path
    corrections: Path | None
    detector: Path | None
    parts: int
    composed: int


def judge(
    boxes: NDArray[np.float32], labelled: NDArray[np.float32], is_face: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Returns what boxes (N, 4) are: 1 a face, 0 none, -1 neither for sure.

    >>> one = np.float32([[0, 0, 10, 10]])
    >>> judge(np.float32([[0, 0, 10, 9], [3, 0, 14, 10], [50, 50, 60, 60]]), one, np.array([True]))
    array([ 1, -1,  0], dtype=int8)
    """
    faces, others = labelled[is_face], labelled[~is_face]
    overlap = iou_matrix(boxes, faces).max(axis=1, initial=0)
    excused = covered_by(boxes, others).max(axis=1, initial=0) >= 0.3
    excused |= iou_matrix(boxes, others).max(axis=1, initial=0) >= 0.2
    none = (overlap < _NONE) & ~excused
    return np.where(overlap >= _FACE, 1, np.where(none, 0, -1)).astype(np.int8)


@dataclass(frozen=True)
class Gatherer:
    """Makes candidates.

    Args:
        pool: The scenes.
        faces: uint8 (N, 48, 48), ready faces to paste.
        box: (4,), where the box of a face lies in its square, as shares of the side.
        detector: What proposes.
        parts: How many parts there are.
        composed: Composed views in all parts.
    """

    pool: Pool
    faces: NDArray[np.uint8]
    box: NDArray[np.float32]
    detector: FinderDetector
    parts: int
    composed: int

    def part(self, number: int) -> Candidates:
        """Makes one part, the same whenever it is made.

        Raises:
            DataError: If nothing is proposed.
        """
        rng = np.random.default_rng((0, number))
        columns: list[tuple[Any, ...]] = []
        for group, image_rgb, boxes, is_face in self._pictures(number, rng):
            found = self.detector.detect(image_rgb, min_face=10)
            what = judge(found.boxes_xyxy, boxes, is_face)
            none = np.flatnonzero(what == 0)
            if len(none) > _MOST[group]:
                share = found.scores[none] / found.scores[none].sum()
                kept = rng.choice(none, _MOST[group], replace=False, p=share)
                what[np.setdiff1d(none, kept)] = -1
            sure = what >= 0
            if sure.any():
                squares = crop_box(found.boxes_xyxy[sure], self.detector.framing, MARGIN)
                crops = crop_faces(image_rgb, squares, _CROP)[..., 0]
                origin = np.full(len(crops), group, np.int8)
                columns.append((crops, found.scores[sure], what[sure] == 1, origin))
        if not columns:
            raise DataError("the detector proposes nothing on these pictures.")
        return Candidates(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def _pictures(
        self, number: int, rng: np.random.Generator
    ) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]]:
        every = slice(number, None, self.parts)
        for group, name in enumerate(SCENES):
            for source in self.pool.scenes[name][every]:
                for factor in _factors(name, rng):
                    yield group, _sized(source, factor), source.boxes * factor, source.is_face
        wanted = np.random.default_rng(0).permutation(len(self.faces))[every]
        while len(wanted):
            taken = int(rng.integers(1, 4))
            yield PASTED, *self._pasted(wanted[:taken], rng)
            wanted = wanted[taken:]
        for index in range(number, self.composed, self.parts):
            view = compose(
                self.pool, _VIEW, (11, index), animals=1.8, drawings=0.25, decoys=0.25,
                pasting=Pasting(0.3, 0.6, 0.5, 0.5),
            )  # fmt: skip
            yield PASTED + 1, view.image_rgb, view.boxes, view.is_face

    def _pasted(
        self, wanted: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
        """Pastes some ready faces, and half as many squares that show none."""
        backgrounds = self.pool.scenes["people"] + self.pool.scenes["animals"]
        below = backgrounds[rng.integers(len(backgrounds))]
        whole = below.levels[0]
        picture = whole.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        boxes = below.boxes * np.tile(_SIDE / np.array(whole.size, np.float32), 2)
        is_face = below.is_face.copy()
        squares = [*wanted.tolist(), *[-1] * int(rng.integers(0, len(wanted) + 1))]
        for index in squares:
            side = int(np.exp(rng.uniform(*np.log(_SIZES))))
            x, y = (int(value) for value in rng.integers(0, _SIDE - side + 1, 2))
            patch = Image.fromarray(self.faces[index]) if index >= 0 else self._no_face(rng)
            if patch is None:
                continue
            picture.paste(
                patch.resize((side, side), Image.Resampling.BICUBIC).convert("RGB"), (x, y)
            )
            frame = np.array([[x, y, x + side, y + side]], np.float32)
            covered = covered_by(boxes, frame).max(axis=1, initial=0)
            boxes, is_face = boxes[covered < 0.8], (is_face & (covered < 0.05))[covered < 0.8]
            if index >= 0:
                boxes = np.concatenate([boxes, self.box[None] * side + frame[:, [0, 1, 0, 1]]])
                is_face = np.append(is_face, True)
        return np.asarray(picture), boxes.astype(np.float32), is_face

    def _no_face(self, rng: np.random.Generator) -> Image.Image | None:
        """Cuts a square that shows no face; None where one is in the way."""
        if self.pool.decoys and rng.random() < 0.5:
            source, box = self.pool.decoys[rng.integers(len(self.pool.decoys))]
            side = float((box[2:] - box[:2]).max()) * rng.uniform(0.8, 1.3)
            x, y = (float(value) for value in (box[:2] + box[2:] - side) / 2)
        else:
            sources = self.pool.scenes["people"] + self.pool.scenes["animals"]
            source = sources[rng.integers(len(sources))]
            side = rng.uniform(0.25, 0.9) * min(source.levels[0].size)
            x, y = (rng.uniform(0, length - side) for length in source.levels[0].size)
        frame = np.array([[x, y, x + side, y + side]])
        if (covered_by(source.boxes, frame) > 0.05).any():
            return None
        patch = source.levels[0].crop((int(x), int(y), int(x + side), int(y + side)))
        return patch.convert("L") if rng.random() < 0.8 else patch


def _factors(name: str, rng: np.random.Generator) -> tuple[np.float32, ...]:
    if name == "animals":
        return tuple(np.float32(value) for value in (0.5, 0.7, 1, 1.4))
    return (np.float32(1),) + ((np.float32(rng.uniform(1.2, 2)),) if name == "people" else ())


def _sized(source: Source, factor: np.float32) -> NDArray[np.uint8]:
    whole = source.levels[0]
    if factor == 1:
        return np.asarray(whole)
    size = tuple(max(32, int(side * factor)) for side in whole.size)
    return np.asarray(whole.resize((size[0], size[1]), Image.Resampling.BILINEAR))


def _file(folder: Path, number: int) -> Path:
    return folder / f"candidates-{number:03}.npz"


def _open(order: Order) -> Gatherer:
    pool = load_pool(order.scenes, None, order.labels, corrections=order.corrections)
    manifest = read_manifest(f"ferplus:{order.ferplus}").split("train").with_labels()
    faces = load_faces(manifest, Preprocessing(size=48, color="gray"))[..., 0]
    box = np.median(load_labels(order.labels, "ferplus").boxes, axis=0) / faces.shape[1]
    detector = FinderDetector(order.detector, min_score=PROPOSE, threads=1)
    return Gatherer(pool, faces, box.astype(np.float32), detector, order.parts, order.composed)


_gatherer: list[Gatherer] = []


def _start(order: Order) -> None:
    _gatherer[:] = [_open(order)]


def _run(job: tuple[int, Path]) -> int:
    number, path = job
    made = _gatherer[0].part(number)
    with replacing(path) as temporary:
        np.savez(temporary, **{item.name: getattr(made, item.name) for item in fields(made)})
    return len(made.scores)


def gather(
    order: Order, output: Path, *, workers: int = 1, progress: Callable[[int], None] | None = None
) -> int:
    """Makes candidates in parts; a part that is there already is not made again.

    Args:
        order: Scenes, ready faces, labels and corrections; the exported detector's folder (None:
            the bundled one); in how many parts; how many composed views in all.
        output: Folder for the parts.
        workers: Processes.
        progress: Called with the number of parts just made.

    Returns:
        How many candidates were made now.

    Raises:
        DataError: If the pictures cannot be read, or nothing is proposed on them.
        ModelError: If the detector cannot be opened.
    """
    output.mkdir(parents=True, exist_ok=True)
    jobs = [(number, _file(output, number)) for number in range(order.parts)]
    jobs = [job for job in jobs if not job[1].is_file()]
    done = 0
    if not jobs:
        return done
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(workers, len(jobs)), _start, (order,)) as pool:
        for count in pool.imap_unordered(_run, jobs):
            done += count
            if progress:
                progress(1)
    return done


def load_candidates(folder: Path) -> Candidates:
    """Reads all parts.

    Raises:
        DataError: If there are none, or one cannot be read.
    """
    paths = sorted(folder.glob("candidates-*.npz"))
    if not paths:
        raise DataError(f"{folder} holds no candidates. Type: mien finder candidates")
    parts: dict[str, list[NDArray[Any]]] = {}
    for path in paths:
        try:
            with np.load(path) as stored:
                for item in fields(Candidates):
                    parts.setdefault(item.name, []).append(stored[item.name])
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise DataError(f"{path} cannot be read as candidates: {error}") from error
    return Candidates(**{name: np.concatenate(values) for name, values in parts.items()})
