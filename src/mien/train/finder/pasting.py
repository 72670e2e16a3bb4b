"""What is laid over a view: faces at known places, and things that are no faces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mien.train.finder.warp import Warp

if TYPE_CHECKING:
    from mien.train.finder.canvas import Canvas
    from mien.train.finder.pool import Pool, Source


@dataclass(frozen=True)
class Pasting:
    """How faces are pasted.

    Args:
        chance: How often a view gets any.
        crops: Share of ready crops among them; the rest are heads of portraits.
        squares: Share with the hard edges of their square; the rest end softly.
        decoys: How often what is pasted is none: a region that teachers took for a face, or any
            square of a photograph of animals.
    """

    chance: float = 0.45
    crops: float = 0.6
    squares: float = 0.33
    decoys: float = 0.0


USUAL = Pasting()


def _mask(size: int, rng: np.random.Generator, squares: float) -> Image.Image:
    """Returns a mask: a square, a square with soft edges, or a soft ellipse."""
    if rng.random() < squares:
        return Image.new("L", (size, size), 255)
    mask = Image.new("L", (64, 64))
    pen = ImageDraw.Draw(mask)
    if rng.random() < 0.5:
        pen.rectangle((4, 4, 59, 59), fill=255)
    else:
        pen.ellipse((3, 1, 60, 62), fill=255)
    soft = mask.filter(ImageFilter.BoxBlur(3))
    return soft.resize((size, size), Image.Resampling.BILINEAR)


def _cut_out(
    pool: Pool, rng: np.random.Generator, crops: float
) -> tuple[Source, tuple[float, ...]] | None:
    """Chooses a face to paste: a ready crop, or the head of a portrait; and the square to cut."""
    portraits = pool.scenes.get("portraits", [])
    if pool.crops and (not portraits or rng.random() < crops):
        source = pool.crops[rng.integers(len(pool.crops))]
        return source, (0.0, 0.0, float(source.levels[0].width), float(source.levels[0].height))
    if not portraits:
        return None
    source = portraits[rng.integers(len(portraits))]
    faces = np.flatnonzero(source.is_face)
    if len(faces) != 1 or len(source.boxes) != 1:
        return None
    box = source.boxes[0]
    reach = float((box[2:] - box[:2]).max()) * rng.uniform(0.6, 0.9)
    x, y = (box[:2] + box[2:]) / 2
    return source, (x - reach, y - reach, x + reach, y + reach)


def _cut_decoy(pool: Pool, rng: np.random.Generator) -> tuple[Source, tuple[float, ...]] | None:
    """Chooses what is no face, to paste like one; and the square to cut."""
    animals = pool.scenes.get("animals", [])
    if pool.decoys and (not animals or rng.random() < 0.8):
        source, box = pool.decoys[rng.integers(len(pool.decoys))]
        reach = float((box[2:] - box[:2]).max()) * rng.uniform(0.45, 0.9)
        x, y = (box[:2] + box[2:]) / 2
    elif animals:
        source = animals[rng.integers(len(animals))]
        width, height = source.levels[0].size
        reach = min(width, height) * rng.uniform(0.1, 0.45)
        x, y = rng.uniform(reach, width - reach), rng.uniform(reach, height - reach)
    else:
        return None
    return source, (x - reach, y - reach, x + reach, y + reach)


def paste_face(canvas: Canvas, pool: Pool, size: int, pasting: Pasting) -> None:
    """Pastes one face, or a decoy, where it hides no other face."""
    rng = canvas.rng
    is_decoy = pasting.decoys > 0 and rng.random() < pasting.decoys
    chosen = _cut_decoy(pool, rng) if is_decoy else _cut_out(pool, rng, pasting.crops)
    if chosen is None:
        return
    source, (x1, y1, x2, y2) = chosen
    side = int(math.exp(rng.uniform(math.log(18), math.log(0.85 * size))))
    x, y = (int(rng.uniform(-0.2 * side, size - 0.8 * side)) for _ in "xy")
    frame = float(x), float(y), float(x + side), float(y + side)
    if not canvas.hide(frame, most=0.02):
        return
    scale = side / (x2 - x1)
    turn = rng.uniform(-30, 30) if rng.random() < 0.4 else rng.uniform(-6, 6)
    warp = Warp.around(
        ((x1 + x2) / 2, (y1 + y2) / 2), (side / 2, side / 2), scale=(scale, scale),
        degrees=turn, mirror=rng.random() < 0.5,
    )  # fmt: skip
    fill = tuple(int(value) for value in rng.integers(0, 256, 3))
    patch = warp.picture(source.levels, (side, side), fill)
    if rng.random() < 0.5:
        patch = Image.blend(patch, Image.new("RGB", patch.size, fill), rng.uniform(0, 0.2))
    if is_decoy and rng.random() < 0.7:  # as the ready crops are
        patch = patch.convert("L").convert("RGB")
    canvas.picture.paste(patch, (x, y), _mask(side, rng, pasting.squares))
    inside = max(frame[0], 0), max(frame[1], 0), min(frame[2], size), min(frame[3], size)
    boxes = warp.boxes(source.boxes) + np.tile([x, y], 2)
    canvas.add(boxes, warp.landmarks(source.points) + np.array([x, y]), source.is_face, inside)


def _lettering(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], side: int, rng: np.random.Generator
) -> None:
    """Draws a thick outlined word, often in the colours of skin: round letters, and dots on i."""
    hue = rng.uniform(0, 60) if rng.random() < 0.6 else rng.uniform(0, 360)
    fill, edge = (
        f"hsl({hue:.0f}, {rng.uniform(30, 100):.0f}%, {rng.uniform(*light):.0f}%)"
        for light in ((40, 85), (5, 45))
    )
    letters = "".join("aceinosdmbpqij"[i] for i in rng.integers(0, 14, rng.integers(2, 9)))
    size = max(side / len(letters) * 1.6, 9.0)
    thick = max(round(size * rng.uniform(0.02, 0.09)), 1)
    pen.text(place, letters, fill=fill, font_size=size, stroke_width=thick, stroke_fill=edge)
    for _ in range(rng.integers(0, 4)):
        r = rng.uniform(4, 14)
        a, b = place[0] + rng.uniform(0, side), place[1] + rng.uniform(0, side)
        pen.ellipse((a - r, b - r, a + r, b + 1.2 * r), fill=fill, outline=edge, width=thick)


def distract(canvas: Canvas, size: int) -> None:
    """Draws what is no face: words, stripes, dots; and bars across faces."""
    rng = canvas.rng
    pen = ImageDraw.Draw(canvas.picture)
    ink = tuple(int(value) for value in rng.integers(0, 256, 3))
    if len(canvas.boxes) and rng.random() < 0.3:
        x1, y1, x2, y2 = canvas.boxes[rng.integers(len(canvas.boxes))]
        part = rng.uniform(0.1, 0.3)
        bar = (x1, y2 - part * (y2 - y1), x2, y2 + 4) if rng.random() < 0.7 else (
            x1 - 4, y1, x1 + part * (x2 - x1), y2)  # fmt: skip
        pen.rectangle(tuple(float(value) for value in bar), fill=ink)
        return
    x, y, side = (int(rng.uniform(0.05, 0.8) * size) for _ in "xys")
    frame = float(x), float(y), float(x + side + 1), float(y + side + 1)
    if not canvas.hide(frame, most=0.05):
        return
    kind = rng.choice(4, p=(0.2, 0.15, 0.15, 0.5))
    if kind == 3:
        _lettering(pen, (x, y), side, rng)
    elif kind == 0:
        letters = "".join(chr(code) for code in rng.integers(33, 122, 24))
        for row in range(4):
            pen.text((x, y + row * side / 4), letters, fill=ink, font_size=max(side / 4, 6))
    elif kind == 1:
        for step in range(0, side, max(side // 7, 3)):
            pen.line((x + step, y, x + side - step // 2, y + side), fill=ink, width=3)
    else:
        for _ in range(6):
            a, b = rng.uniform(0, side, 2)
            r = rng.uniform(2, side / 4 + 3)
            pen.ellipse((x + a - r, y + b - r, x + a + r, y + b + r), fill=ink, outline=0)
