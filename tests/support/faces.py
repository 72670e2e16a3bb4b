"""Drawn faces with a smile, a frown or a flat mouth: small, honest data for training tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

LABELS = ("happiness", "sadness", "neutral")

Draw = Callable[..., Image.Image]


def draw_face(label: str, seed: int, size: int = 48) -> Image.Image:
    """Draws one face; the mouth tells the label, all else is chance."""
    rng = np.random.default_rng(seed)
    scale = size / 48
    back, skin = int(rng.integers(0, 120)), int(rng.integers(140, 240))
    picture = Image.new("L", (size, size), back)
    pen = ImageDraw.Draw(picture)
    dx, dy = rng.uniform(-2, 2, 2)

    def box(x1: float, y1: float, x2: float, y2: float) -> list[float]:
        return [(x1 + dx) * scale, (y1 + dy) * scale, (x2 + dx) * scale, (y2 + dy) * scale]

    pen.ellipse(box(6, 2, 42, 46), fill=skin)
    dark = int(rng.integers(0, 80))
    pen.ellipse(box(14, 15, 19, 20), fill=dark)
    pen.ellipse(box(29, 15, 34, 20), fill=dark)
    width = max(round(2 * scale), 1)
    if label == "happiness":
        pen.arc(box(14, 22, 34, 38), 10, 170, fill=dark, width=width)
    elif label == "sadness":
        pen.arc(box(14, 32, 34, 48), 190, 350, fill=dark, width=width)
    else:
        pen.line(box(15, 35, 33, 35), fill=dark, width=width)
    noise = rng.normal(0, 4, (size, size))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def write_folder(root: Path, per_class: int = 40) -> Path:
    """Writes ``{train,valid}/<label>/*.png`` and returns the root."""
    for split, count in (("train", per_class), ("valid", max(per_class // 4, 4))):
        for class_id, label in enumerate(LABELS):
            folder = root / split / label
            folder.mkdir(parents=True)
            for index in range(count):
                seed = class_id * 10_000 + index + (5_000 if split == "valid" else 0)
                draw_face(label, seed).save(folder / f"{index:03}.png")
    return root


def varied_face(label: str, seed: int, size: int = 96) -> Image.Image:
    """Draws a face over its own light and background; no two seeds look alike."""
    rng = np.random.default_rng(seed + 77_000)
    light = Image.fromarray(rng.uniform(0, 255, (6, 6)).astype(np.float32))
    field = np.asarray(light.resize((size, size), Image.Resampling.BICUBIC))
    face = np.asarray(draw_face(label, seed, size), np.float32)
    mixed = 0.45 * face + 0.55 * field
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
