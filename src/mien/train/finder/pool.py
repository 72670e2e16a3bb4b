"""The pictures that training views are composed of, decoded once and kept in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.errors import DataError
from mien.images import decode
from mien.train.finder.corrections import correct
from mien.train.finder.labels import FACE, Labels, held_out, load_labels, read_scenes
from mien.train.finder.warp import fill_wedges, make_levels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SCENES = ("people", "portraits", "animals")


@dataclass(frozen=True)
class Source:
    """One picture and its labelled regions, M in all.

    Args:
        levels: The picture at its full size, at half, at a quarter.
        boxes: (M, 4) in pixels.
        points: (M, 5, 2); NaN where unknown.
        is_face: bool (M,).
        decoys: (D, 4), what teachers took for faces, and somebody who looked did not.
    """

    levels: list[Image.Image]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    is_face: NDArray[np.bool_]
    decoys: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))


@dataclass(frozen=True)
class Pool:
    """All sources: scenes by name of their set, and small ready-cropped faces."""

    scenes: dict[str, list[Source]]
    crops: list[Source]

    @cached_property
    def decoys(self) -> list[tuple[Source, NDArray[np.float32]]]:
        """Every decoy of the scenes, with the source it lies in."""
        sources = chain.from_iterable(self.scenes.values())
        return [(source, box) for source in sources for box in source.decoys]


def _source(
    data: bytes, labels: Labels, index: int, decoys: Labels | None = None, *, wedges: bool
) -> Source:
    image_rgb = decode(data)
    if wedges:
        image_rgb = fill_wedges(image_rgb)
    rows = labels.of(index)
    return Source(
        make_levels(Image.fromarray(image_rgb)),
        labels.boxes[rows],
        labels.points[rows],
        labels.kind[rows] == FACE,
        *([] if decoys is None else [decoys.boxes[decoys.of(index)]]),
    )


def _check(labels: Labels, names: list[str], where: Path) -> None:
    if list(labels.names) != names[: len(labels.names)]:
        raise DataError(f"the labels are not those of {where}: label it anew in another folder.")


def load_scenes(
    path: Path,
    labels: Labels,
    decoys: Labels | None = None,
    *,
    held: bool,
    wedges: bool = False,
    limit: int = 0,
) -> list[Source]:
    """Decodes one set of scenes.

    Args:
        path: Its parquet file.
        labels: Its labels.
        decoys: Its regions that were taken for faces and are none.
        held: The held-out tenth, or all but that.
        wedges: Fill black corners.
        limit: At most so many pictures; 0 takes all.

    Raises:
        DataError: If the file cannot be read, or the labels belong to other pictures.
    """
    names, pictures = read_scenes(path)
    _check(labels, names, path)
    wanted = [i for i, name in enumerate(labels.names) if held_out(name) == held]
    wanted = wanted[:limit] if limit else wanted
    with ThreadPoolExecutor() as threads:
        return list(
            threads.map(lambda i: _source(pictures[i], labels, i, decoys, wedges=wedges), wanted)
        )


def _boxed(labels: Labels) -> Labels:
    """Gives ready crops without a label the median box of the others, and no landmarks."""
    bare = np.setdiff1d(np.arange(len(labels.names)), labels.picture)
    count = len(bare)
    box = np.median(labels.boxes, axis=0).astype(np.float32)
    return Labels(
        labels.names,
        np.concatenate([labels.picture, bare]),
        np.concatenate([labels.boxes, np.tile(box, (count, 1))]),
        np.concatenate([labels.points, np.full((count, 5, 2), np.nan, np.float32)]),
        np.concatenate([labels.scores, np.zeros((count, 2), np.float32)]),
        np.concatenate([labels.kind, np.full(count, FACE, np.int8)]),
    )


def load_crops(path: Path, labels: Labels, limit: int = 0, *, unseen: bool = False) -> list[Source]:
    """Decodes ready-cropped faces that have a label, at most ``limit`` of them.

    Args:
        path: Parquet file of the crops, all of one size and framed alike.
        labels: What the teacher saw in them.
        limit: At most so many; 0 takes all.
        unseen: Take those too in which it saw nothing: they are faces all the same, and lie
            where the others do.

    Raises:
        DataError: If the file cannot be read, or the labels belong to other pictures.
    """
    names, pictures = read_scenes(path)
    _check(labels, names, path)
    labels = _boxed(labels) if unseen and len(labels.boxes) else labels
    found = np.unique(labels.picture)
    found = found[:limit] if limit else found
    return [_source(pictures[i], labels, int(i), wedges=False) for i in found]


def load_pool(
    scenes: Path,
    ferplus: Path | None,
    labels: Path,
    *,
    corrections: Path | None = None,
    held: bool = False,
    limit: int = 0,
    unseen: bool = False,
) -> Pool:
    """Reads everything that views are composed of.

    Args:
        scenes: Folder with a parquet file for each of ``SCENES``.
        ferplus: Folder with ``train.parquet``, or None.
        labels: Folder with the shards of ``mien finder label``.
        corrections: Labels that were set right by hand, or None.
        held: The held-out tenth of the scenes, or all but that.
        limit: At most so many pictures of each kind, for trials; 0 takes all.
        unseen: Take ready crops too in which the teacher saw no face.

    Raises:
        DataError: If something is missing.
    """
    sets = {}
    for name in SCENES:
        known, decoys = load_labels(labels, name), None
        if corrections is not None:
            known, decoys = correct(known, corrections, name)
        path, wedges = scenes / f"{name}.parquet", name == "portraits"
        sets[name] = load_scenes(path, known, decoys, held=held, wedges=wedges, limit=limit)
    crops: list[Source] = []
    if ferplus is not None:
        known = load_labels(labels, "ferplus")
        crops = load_crops(ferplus / "train.parquet", known, limit, unseen=unseen)
    return Pool(sets, crops)
