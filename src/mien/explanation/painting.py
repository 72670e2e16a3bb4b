"""Maps painted onto the picture that they explain."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Colours from nothing to the maximum; what is low is also nearly transparent.
_STOPS = ((64, 16, 110), (150, 30, 110), (221, 75, 64), (250, 150, 30), (253, 231, 90))
_STRONGEST = 0.72
#: Side of the coloured map before it is scaled to the face: more shows nothing more.
_SIDE = 192


@lru_cache(maxsize=1)
def colour_table() -> NDArray[np.uint8]:
    """Returns the colour and opacity of each heat 0..255: uint8 (256, 4)."""
    heat = np.linspace(0.0, 1.0, 256)
    stops = np.linspace(0.0, 1.0, len(_STOPS))
    table = np.empty((256, 4))
    for channel in range(3):
        table[:, channel] = np.interp(heat, stops, [stop[channel] for stop in _STOPS])
    table[:, 3] = 255 * _STRONGEST * np.clip((heat - 0.08) / 0.92, 0.0, 1.0) ** 0.8
    return table.round().astype(np.uint8)


def paint_maps(
    image_rgb: NDArray[np.uint8],
    squares_xyxy: NDArray[np.floating[Any]],
    maps: NDArray[np.floating[Any]],
) -> NDArray[np.uint8]:
    """Lays each face's map over its square in the picture.

    The heat of a map is relative to its own maximum. What reaches beyond the picture is cut off.

    Args:
        image_rgb: uint8 (H, W, 3).
        squares_xyxy: (N, 4), the regions that the maps belong to, in pixels.
        maps: (N, h, w), 0 and above, of any scale.

    Returns:
        A new uint8 (H, W, 3).

    Raises:
        InputError: If shapes do not fit each other.

    >>> picture = np.zeros((8, 8, 3), np.uint8)
    >>> painted = paint_maps(picture, np.array([[0, 0, 4, 4]]), np.ones((1, 2, 2)))
    >>> bool(painted[:4, :4].any()), bool(painted[4:, 4:].any())
    (True, False)
    """
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8:
        raise InputError(f"expected a uint8 picture (H, W, 3); got {image_rgb.shape}.")
    squares = np.asarray(squares_xyxy, np.float64).reshape(-1, 4)
    if maps.ndim != 3 or len(maps) != len(squares):
        raise InputError(f"expected a map (h, w) for {len(squares)} faces; got {maps.shape}.")
    picture = Image.fromarray(image_rgb)  # a copy: the array given stays as it is
    for square, heat in zip(squares, maps, strict=True):
        _paint(picture, square, heat)
    return np.array(picture)


def _paint(
    picture: Image.Image, square: NDArray[np.float64], heat: NDArray[np.floating[Any]]
) -> None:
    x1, y1, x2, y2 = (float(value) for value in square)
    left, top = max(math.floor(x1 + 0.5), 0), max(math.floor(y1 + 0.5), 0)
    right = min(math.floor(x2 + 0.5), picture.width)
    bottom = min(math.floor(y2 + 0.5), picture.height)
    peak = float(heat.max(initial=0.0))
    if right <= left or bottom <= top or not (math.isfinite(peak) and peak > 0):
        return
    side = min(_SIDE, max(math.ceil(x2 - x1), 8))
    smooth = Image.fromarray((heat / peak).astype(np.float32)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    levels = (np.clip(np.asarray(smooth), 0.0, 1.0) * 255).round().astype(np.uint8)
    coloured = Image.fromarray(colour_table()[levels])
    scale_x, scale_y = side / (x2 - x1), side / (y2 - y1)
    region = (
        max((left - x1) * scale_x, 0.0), max((top - y1) * scale_y, 0.0),
        min((right - x1) * scale_x, side), min((bottom - y1) * scale_y, side),
    )  # fmt: skip
    layer = coloured.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=region)
    picture.paste(layer.convert("RGB"), (left, top), layer.getchannel("A"))
