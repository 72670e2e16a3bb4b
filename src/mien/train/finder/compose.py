"""Training views: mosaics of turned and scaled scenes, faces pasted in, light and blur.

Every view depends on its seed alone, so that a run which was stopped and resumed sees the same
pictures. Labels follow each step: a face mostly outside its tile is dropped, one half outside is
left out of the loss, and so is one too small to be found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.train.finder.canvas import Canvas
from mien.train.finder.pasting import USUAL, distract, paste_face
from mien.train.finder.spoil import spoil
from mien.train.finder.warp import Warp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.train.finder.pasting import Pasting
    from mien.train.finder.pool import Pool, Source

#: How many tiles a side, and how often.
TILINGS = ((1, 0.55), (2, 0.33), (3, 0.12))
#: By set: how often a tile shows it beside the others, and the zoom beyond filling the tile.
SHARES = {"people": (0.46, 0.75, 3.2), "portraits": (0.30, 0.55, 2.2), "animals": (0.24, 0.7, 1.8)}


@dataclass(frozen=True)
class View:
    """A picture and its labels; M regions in all.

    Args:
        image_rgb: uint8 (H, W, 3).
        boxes: float32 (M, 4).
        points: float32 (M, 5, 2); NaN where unknown.
        is_face: bool (M,).
    """

    image_rgb: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    is_face: NDArray[np.bool_]


def _draw_tile(
    canvas: Canvas,
    source: Source,
    frame: tuple[int, ...],
    zoom: float,
    aim: NDArray[np.float32] | None = None,
) -> None:
    rng = canvas.rng
    left, top, right, bottom = frame
    width, height = right - left, bottom - top
    whole = source.levels[0]
    stretch = math.exp(rng.uniform(-0.3, 0.3))
    fit = max(width / whole.width, height / whole.height) * zoom
    scale = fit * math.sqrt(stretch), fit / math.sqrt(stretch)
    faces = np.flatnonzero(source.is_face)
    if aim is not None or (len(faces) and rng.random() < 0.75):
        box = aim if aim is not None else source.boxes[rng.choice(faces)]
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        place = left + width * rng.uniform(0.1, 0.9), top + height * rng.uniform(0.1, 0.9)
    else:
        middle = whole.width * rng.uniform(0.3, 0.7), whole.height * rng.uniform(0.3, 0.7)
        place = (left + right) / 2, (top + bottom) / 2
    degrees = rng.uniform(-30, 30) if rng.random() < 0.5 else rng.uniform(-5, 5)
    mirror = rng.random() < 0.5
    if rng.random() < 0.85:
        place = _cover(middle, place, scale, whole.size, frame, mirror=mirror)
    warp = Warp.around(middle, place, scale=scale, degrees=degrees, mirror=mirror)
    inner = Warp(warp.matrix, warp.shift - (left, top))
    fill = tuple(int(value) for value in rng.integers(0, 256, 3))
    canvas.picture.paste(inner.picture(source.levels, (width, height), fill), (left, top))
    canvas.add(warp.boxes(source.boxes), warp.landmarks(source.points), source.is_face, frame)


def _cover(
    middle: tuple[float, float],
    place: tuple[float, float],
    scale: tuple[float, float],
    size: tuple[int, int],
    frame: tuple[int, ...],
    *,
    mirror: bool,
) -> tuple[float, float]:
    """Moves ``place`` as little as needed for the source to cover its tile, where it can."""
    moved = []
    for axis in (0, 1):
        before = (size[0] - middle[0] if mirror and axis == 0 else middle[axis]) * scale[axis]
        after = size[axis] * scale[axis] - before
        low, high = frame[axis + 2] - after, frame[axis] + before
        low, high = min(low, high), max(low, high)
        moved.append(float(np.clip(place[axis], low, high)))
    return moved[0], moved[1]


def _choose(pool: Pool, rng: np.random.Generator, animals: float) -> tuple[Source, float]:
    names = [name for name in SHARES if pool.scenes.get(name)]
    shares = np.array([SHARES[name][0] * (animals if name == "animals" else 1) for name in names])
    name = names[rng.choice(len(names), p=shares / shares.sum())]
    low, high = SHARES[name][1:]
    sources = pool.scenes[name]
    source = sources[rng.integers(len(sources))]
    # Half of the photographs of people show no face; backgrounds come from animals too.
    for _ in range(2):
        if name == "people" and not source.is_face.any() and rng.random() < 0.7:
            source = sources[rng.integers(len(sources))]
    return source, math.exp(rng.uniform(math.log(low), math.log(high)))


def _draw_decoy(canvas: Canvas, pool: Pool, frame: tuple[int, ...]) -> None:
    """Fills a tile with a photograph around what was taken for a face."""
    rng = canvas.rng
    source, box = pool.decoys[rng.integers(len(pool.decoys))]
    width, height = frame[2] - frame[0], frame[3] - frame[1]
    side = math.exp(rng.uniform(math.log(20), math.log(max(0.8 * min(width, height), 21))))
    whole = source.levels[0]
    fit = max(width / whole.width, height / whole.height)
    zoom = max(side / float((box[2:] - box[:2]).max()) / fit, 0.6)
    _draw_tile(canvas, source, frame, zoom, box)


def _mosaic(canvas: Canvas, pool: Pool, size: int, animals: float, decoys: float) -> None:
    rng = canvas.rng
    counts, chances = zip(*TILINGS, strict=True)
    count = int(counts[rng.choice(len(counts), p=chances)])
    cuts = []
    for _ in "xy":
        inner = (
            np.arange(1, count) * size / count + rng.uniform(-0.2, 0.2, count - 1) * size / count
        )
        cuts.append([0, *(int(value) for value in inner), size])
    for y in range(count):
        for x in range(count):
            frame = cuts[0][x], cuts[1][y], cuts[0][x + 1], cuts[1][y + 1]
            if decoys and pool.decoys and rng.random() < decoys:
                _draw_decoy(canvas, pool, frame)
                continue
            source, zoom = _choose(pool, rng, animals)
            _draw_tile(canvas, source, frame, zoom)


def compose(
    pool: Pool,
    size: int,
    seed: tuple[int, ...],
    *,
    animals: float = 1.0,
    drawings: float = 0.15,
    decoys: float = 0.0,
    pasting: Pasting = USUAL,
) -> View:
    """Makes one view.

    Args:
        pool: What to make it of.
        size: Its side in pixels.
        seed: Decides everything about it.
        animals: Factor on how often a tile shows animals.
        drawings: Chance of words, shapes and bars drawn over it.
        decoys: Chance of a tile that shows what was taken for a face and is none.
        pasting: How faces are pasted over it.
    """
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, rng)
    _mosaic(canvas, pool, size, animals, decoys)
    if rng.random() < pasting.chance:
        for _ in range(rng.integers(1, 5)):
            paste_face(canvas, pool, size, pasting)
    if rng.random() < drawings:
        for _ in range(rng.integers(1, 6)):
            distract(canvas, size)
    picture = spoil(canvas.picture, rng)
    return View(
        np.asarray(picture),
        canvas.boxes.astype(np.float32),
        canvas.points.astype(np.float32),
        canvas.is_face,
    )
