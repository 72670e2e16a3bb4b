"""Corruptions of faces, in five severities.

After the idea of Hendrycks and Dietterich 2019 (https://arxiv.org/abs/1903.12261), with strengths
chosen for small faces.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Strength by severity 1..5. Noise: sigma in grey levels. Blur: sigma as a share of the side.
#: JPEG: quality. Brightness: grey levels added. Contrast: factor. Occlusion: share of the area.
SEVERITIES: dict[str, tuple[float, ...]] = {
    "noise": (8, 16, 26, 40, 60),
    "blur": (0.01, 0.02, 0.03, 0.045, 0.06),
    "jpeg": (40, 25, 15, 9, 5),
    "brightness": (25, 50, 75, 100, 125),
    "contrast": (0.7, 0.5, 0.35, 0.22, 0.12),
    "occlusion": (0.06, 0.12, 0.2, 0.3, 0.4),
}


def corrupt(
    face: NDArray[np.uint8], kind: str, strength: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Corrupts one face.

    Args:
        face: uint8 (S, S, C).
        kind: A key of :data:`SEVERITIES`.
        strength: See :data:`SEVERITIES`.
        rng: Draws the noise and the position of the occlusion.

    Returns:
        A new uint8 (S, S, C).

    Raises:
        ConfigError: If the kind is unknown.

    >>> grey = np.full((4, 4, 1), 200, np.uint8)
    >>> corrupt(grey, "brightness", 100, np.random.default_rng(0)).max().item()
    255
    """
    x = face.astype(np.float64)
    if kind == "noise":
        return _to_bytes(x + rng.normal(0.0, strength, x.shape))
    if kind == "brightness":
        return _to_bytes(x + strength)
    if kind == "contrast":
        return _to_bytes((x - x.mean()) * strength + x.mean())
    if kind == "occlusion":
        height, width = face.shape[:2]
        side = round((strength * height * width) ** 0.5)
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        out = face.copy()
        out[top : top + side, left : left + side] = 128
        return out
    picture = Image.fromarray(face[..., 0] if face.shape[2] == 1 else face)
    if kind == "blur":
        picture = picture.filter(ImageFilter.GaussianBlur(strength * face.shape[0]))
    elif kind == "jpeg":
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(strength))
        picture = Image.open(buffer)
    else:
        raise ConfigError(f"there is no corruption {kind!r}", hint=suggest(kind, SEVERITIES))
    return np.asarray(picture).reshape(face.shape)


def _to_bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(values.round(), 0, 255).astype(np.uint8)
