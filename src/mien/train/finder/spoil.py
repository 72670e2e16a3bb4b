"""What cameras and networks do to pictures: light, colour, blur, few pixels, noise, JPEG."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BANK = 1024


@lru_cache(maxsize=1)
def _noise_bank() -> NDArray[np.int16]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((_BANK, _BANK, 3)) * 64).astype(np.int16)


def _light(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Changes gamma, contrast and brightness, and each channel's gain a little."""
    dark = rng.random() < 0.1
    gamma = np.exp(rng.uniform(-0.4, 0.4))
    gain = rng.uniform(0.25, 0.5) if dark else rng.uniform(0.75, 1.2)
    gains = gain * np.exp(rng.uniform(-0.12, 0.12, 3))
    ramp = np.linspace(0, 1, 256) ** gamma
    table = (ramp[None] - 0.5) * rng.uniform(0.65, 1.2) + 0.5 + rng.uniform(-0.1, 0.1)
    values = np.clip(table * gains[:, None] * 255, 0, 255).astype(np.uint8)
    return picture.point(values.ravel().tolist())


def _noise(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = picture.size
    top, left = rng.integers(0, _BANK - height), rng.integers(0, _BANK - width)
    part = _noise_bank()[top : top + height, left : left + width]
    if rng.random() < 0.5:
        part = part[:, :, :1]
    strength = int(rng.integers(2, 20))
    noisy = np.asarray(picture).astype(np.int16) + (part * strength >> 6)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _fewer_pixels(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    part = rng.uniform(0.4, 0.9)
    width, height = picture.size
    small = picture.resize((int(width * part), int(height * part)), Image.Resampling.BILINEAR)
    return small.resize((width, height), Image.Resampling.BILINEAR)


def _jpeg(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=int(rng.integers(25, 80)))
    return Image.open(buffer).convert("RGB")


def spoil(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Spoils a picture by chance; its size, and with it every label, stays.

    Args:
        picture: RGB, each side below 1024.
        rng: Decides.
    """
    chance = rng.random(6)
    if chance[0] < 0.75:
        picture = _light(picture, rng)
    if chance[1] < 0.2:
        picture = picture.convert("L").convert("RGB")
    if chance[2] < 0.1:
        picture = picture.filter(ImageFilter.BoxBlur(float(rng.uniform(0.5, 2))))
    if chance[3] < 0.15:
        picture = _fewer_pixels(picture, rng)
    if chance[4] < 0.2:
        picture = _noise(picture, rng)
    if chance[5] < 0.15:
        picture = _jpeg(picture, rng)
    return picture
