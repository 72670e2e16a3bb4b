"""``mien finder label``: labels every scene and every FER+ face, in shards, on all cores.

A shard is written whole or not at all, and one that exists is not made again: a run that was
stopped goes on where it ended.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.errors import DataError
from mien.faces.yunet import YuNetDetector
from mien.images import decode
from mien.train.finder.agreement import RULES, label_picture, merge_looks
from mien.train.finder.labels import FACE, Labels, read_scenes, save_labels
from mien.train.finder.teachers import UltraFaceDetector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.faces import FaceDetector

#: Pictures a shard.
SHARD = 250
#: The set of FER+ faces, and how many of them make a shard.
FACES, FACE_SHARD = "ferplus", 2000
#: FER+ faces are enlarged to this side, and get a border of half of it, before YuNet looks.
_FACE_SIDE, _FACE_SCORE = 128, 0.6
_YUNET_LOW, _ULTRAFACE_LOW = 0.3, 0.4

Look = tuple[
    "NDArray[np.float32]", "NDArray[np.float32]", "NDArray[np.float32]", "NDArray[np.int8]"
]


@dataclass(frozen=True)
class Job:
    """One shard: which pictures of which set, and where the labels go."""

    scenes: str
    source: Path
    start: int
    stop: int
    target: Path


def plan(scenes: Path, ferplus: Path | None, output: Path, faces: int) -> list[Job]:
    """Returns the shards that are not there yet, of all scenes and the first ``faces`` of FER+.

    Raises:
        DataError: If a set of scenes cannot be read.
    """
    jobs = []
    sources = [(name, scenes / f"{name}.parquet", SHARD) for name in RULES]
    if ferplus is not None:
        sources.append((FACES, ferplus / "train.parquet", FACE_SHARD))
    for name, source, size in sources:
        total = len(read_scenes(source)[0])
        total = min(total, faces) if name == FACES else total
        if not total:
            raise DataError(f"{source} holds no pictures.")
        for start in range(0, total, size):
            target = output / f"{name}-{start:05}.npz"
            if not target.is_file():
                jobs.append(Job(name, source, start, min(start + size, total), target))
    return jobs


def label_face(face_rgb: NDArray[np.uint8], yunet: FaceDetector) -> Look:
    """Labels a ready crop with YuNet alone: one face, or none, in pixels of the crop."""
    half = _FACE_SIDE // 2
    large = np.asarray(Image.fromarray(face_rgb).resize((_FACE_SIDE, _FACE_SIDE), 3))
    seen: list[Any] = []
    for mode in ("edge", "symmetric"):
        scene = np.pad(large, ((half, half), (half, half), (0, 0)), mode=mode)
        found = yunet.detect(scene, min_face=_FACE_SIDE / 3)
        centres = (found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:]) / 2
        near = (np.abs(centres - _FACE_SIDE) < _FACE_SIDE / 4).all(axis=1)
        points = found.landmarks if found.landmarks is not None else np.zeros((0, 5, 2))
        seen.append((found.boxes_xyxy[near], found.scores[near], points[near]))
    boxes, scores, points = merge_looks(*(np.concatenate(part) for part in zip(*seen, strict=True)))
    kept = np.flatnonzero(scores >= _FACE_SCORE)[:1]
    back = np.float32(face_rgb.shape[0] / _FACE_SIDE)
    both = np.stack([scores[kept], np.zeros(len(kept), np.float32)], axis=1)
    kind = np.full(len(kept), FACE, np.int8)
    return (boxes[kept] - half) * back, (points[kept] - half) * back, both, kind


def label_shard(
    names: Sequence[str],
    pictures: Sequence[bytes],
    look: Callable[[NDArray[np.uint8]], Look],
) -> Labels:
    """Labels some pictures with ``look``, a function of one decoded picture."""
    columns: list[list[Any]] = [[], [], [], [], []]
    for index, data in enumerate(pictures):
        found = look(decode(data))
        where = np.full(len(found[0]), index, np.int64)
        for column, values in zip(columns, (where, *found), strict=True):
            column.append(values)
    return Labels(tuple(names), *(np.concatenate(column) for column in columns))


class _Worker:
    """Opens the teachers once a process."""

    def __init__(self, yunet: str, ultraface: str) -> None:
        self.yunet = YuNetDetector(yunet, threads=1, min_score=_YUNET_LOW)
        self.ultraface = UltraFaceDetector(ultraface, threads=1, min_score=_ULTRAFACE_LOW)

    def run(self, job: Job) -> int:
        names, pictures = read_scenes(job.source)
        part = slice(job.start, job.stop)

        def look(image_rgb: NDArray[np.uint8]) -> Look:
            if job.scenes == FACES:
                return label_face(image_rgb, self.yunet)
            return label_picture(image_rgb, self.yunet, self.ultraface, RULES[job.scenes])

        save_labels(job.target, label_shard(names[part], pictures[part], look))
        return job.stop - job.start


_worker: list[_Worker] = []


def _start(yunet: str, ultraface: str) -> None:
    _worker[:] = [_Worker(yunet, ultraface)]


def _run(job: Job) -> int:
    return _worker[0].run(job)


def label(
    scenes: Path,
    ferplus: Path | None,
    output: Path,
    *,
    yunet: Path,
    ultraface: Path,
    faces: int = 12_000,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Labels what is not labelled yet.

    Args:
        scenes: Folder with ``people``, ``portraits`` and ``animals`` as parquet files.
        ferplus: Folder with FER+ ``train.parquet``, or None to do without.
        output: Folder for the shards.
        yunet: ONNX file of YuNet.
        ultraface: ONNX file of UltraFace.
        faces: Most FER+ faces to label.
        workers: Processes, of one thread each.
        progress: Called with the number of pictures just labelled.

    Returns:
        How many pictures were labelled now.

    Raises:
        DataError: If the scenes cannot be read.
        ModelError: If a teacher cannot be opened.
    """
    jobs = plan(scenes, ferplus, output, faces)
    output.mkdir(parents=True, exist_ok=True)
    done = 0
    if workers <= 1:
        worker = _Worker(str(yunet), str(ultraface))
        counts = map(worker.run, jobs)
        for count in counts:
            done += count
            if progress:
                progress(count)
        return done
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start, (str(yunet), str(ultraface))) as pool:
        for count in pool.imap_unordered(_run, jobs):
            done += count
            if progress:
                progress(count)
    return done
