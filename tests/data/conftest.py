"""Drawn faces that differ enough to be different people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from faces_made import draw_face

Draw = Callable[..., Image.Image]


def varied_face(label: str, seed: int, size: int = 96) -> Image.Image:
    """Draws a face over its own light and background; no two seeds look alike."""
    rng = np.random.default_rng(seed + 77_000)
    light = Image.fromarray(rng.uniform(0, 255, (6, 6)).astype(np.float32))
    field = np.asarray(light.resize((size, size), Image.Resampling.BICUBIC))
    face = np.asarray(draw_face(label, seed, size), np.float32)
    mixed = 0.45 * face + 0.55 * field
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def draw() -> Draw:
    return varied_face
