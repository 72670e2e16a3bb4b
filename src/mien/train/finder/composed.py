"""Scenes with known boxes, to measure by size, turn and light what a detector finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.train.finder.warp import Warp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mien.train.finder.pool import Pool, Source

#: Width and height of a composed scene.
WIDTH, HEIGHT = 640, 480
#: Light -> (gain, gamma) on 0..1.
LIGHTS = {"day": (1.0, 1.0), "dark": (0.3, 1.4), "faint": (0.45, 1.0), "bright": (1.7, 0.8)}
SIZES = (12, 16, 24, 32, 48, 96, 200, 400)
TURNS = (0, 10, 20, 30, 45)
#: Part of the head around the box that is pasted, in longer sides of the box.
_REACH = 0.8


@dataclass(frozen=True)
class Scene:
    """A picture with one known face.

    Args:
        image_rgb: uint8 (480, 640, 3).
        box: (4,), corners in pixels.
        group: What is varied, "size", "turn" or "light".
        value: Its value.
    """

    image_rgb: NDArray[np.uint8]
    box: NDArray[np.float64]
    group: str
    value: str


def _oval(side: int) -> Image.Image:
    """Returns a soft-edged oval mask."""
    y, x = np.mgrid[0:side, 0:side] / max(side - 1, 1) * 2 - 1
    away = np.sqrt((x / 0.92) ** 2 + (y / 0.98) ** 2)
    return Image.fromarray((np.clip((1 - away) * 8, 0, 1) * 255).astype(np.uint8))


def paste_face(
    ground: Source, face: Source, size: float, degrees: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Pastes the one labelled face of ``face`` at a chance place of a scene without faces.

    Args:
        ground: The scene; it is enlarged to fill 640x480.
        face: A portrait.
        size: Square root of width times height of the pasted box before the turn.
        degrees: Turn.
        rng: Decides the place.

    Returns:
        The picture and the box.
    """
    whole = ground.levels[0]
    fit = max(WIDTH / whole.width, HEIGHT / whole.height)
    place = Warp.around(
        (whole.width / 2, whole.height / 2), (WIDTH / 2, HEIGHT / 2), scale=(fit, fit)
    )
    picture = place.picture(ground.levels, (WIDTH, HEIGHT))
    box = face.boxes[np.flatnonzero(face.is_face)[0]]
    scale = size / float(np.sqrt((box[2:] - box[:2]).prod()))
    side = max(int(2 * _REACH * float((box[2:] - box[:2]).max()) * scale), 4)
    warp = Warp.around(
        ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), (side / 2, side / 2),
        scale=(scale, scale), degrees=degrees,
    )  # fmt: skip
    patch = warp.picture(face.levels, (side, side), (128, 128, 128))
    low = np.array([size * 0.6, size * 0.7])
    middle = rng.uniform(low, np.maximum(np.array([WIDTH, HEIGHT]) - low, low + 1))
    corner = (middle - side / 2).astype(int)
    picture.paste(patch, tuple(corner.tolist()), _oval(side))
    return np.asarray(picture), warp.boxes(box[None])[0] + np.tile(corner, 2)


def light(image_rgb: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Lights a picture as one of ``LIGHTS``."""
    gain, gamma = LIGHTS[name]
    table = np.clip((np.linspace(0, 1, 256) ** gamma) * gain, 0, 1) * 255
    lit: NDArray[np.uint8] = table.astype(np.uint8)[image_rgb]
    return lit


def composed_scenes(pool: Pool, count: int, seed: int = 0) -> Iterator[Scene]:
    """Yields ``count`` scenes for each size, turn and light.

    Sizes are measured upright by day; turns and lights at 64 pixels. Grounds are people and
    animals without any labelled region.
    """
    rng = np.random.default_rng(seed)
    grounds = [s for name in ("people", "animals") for s in pool.scenes[name] if not len(s.boxes)]
    faces = [s for s in pool.scenes["portraits"] if s.is_face.sum() == 1]
    plans = [("size", str(size), float(size), 0.0, "day") for size in SIZES]
    plans += [("turn", str(turn), 64.0, float(turn), "day") for turn in TURNS]
    plans += [("light", name, 64.0, 0.0, name) for name in LIGHTS]
    for group, value, size, degrees, name in plans:
        for _ in range(count):
            ground = grounds[rng.integers(len(grounds))]
            face = faces[rng.integers(len(faces))]
            turn = degrees if rng.random() < 0.5 else -degrees
            picture, box = paste_face(ground, face, size, turn, rng)
            yield Scene(light(picture, name), box, group, value)
