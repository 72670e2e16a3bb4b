"""From the numbers of the detector's cells to faces, in numpy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIDES = (8, 16, 32)
_MAX_LOG_SIZE = 6.0
_MAX_CELLS = 2000


def decode_cells(
    cells: NDArray[np.float32], width: int, height: int, min_logit: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Decodes one input of the network.

    A cell of stride ``s`` and centre ``c`` holds a score logit, ``(dx, dy)`` and ``(lw, lh)`` for
    a box with centre ``c + s (dx, dy)`` and size ``s exp(lw, lh)``, and five points
    ``c + s (px, py)``.

    Args:
        cells: (15, A), those of stride 8 by rows, then 16, then 32.
        width: Of the network's input, in pixels.
        height: Of the network's input.
        min_logit: Lowest score logit to keep.

    Returns:
        boxes_xyxy (N, 4), logits (N,), landmarks (N, 5, 2) in pixels of the input, the most
        confident first; at most 2000.

    Raises:
        ModelError: If there are not as many cells as such an input has.

    >>> cells = np.full((15, 21), -9, np.float32)
    >>> cells[:5, 3] = 0, 0.5, 0, 0, np.log(2)
    >>> decode_cells(cells, 32, 32, -1.0)[0].round(3).tolist()
    [[28.0, -4.0, 36.0, 12.0]]
    """
    counts = [(height // stride) * (width // stride) for stride in STRIDES]
    if cells.shape[1] != sum(counts):
        raise ModelError(
            f"the detector answered for {cells.shape[1]} cells; an input of {width}x{height} has "
            f"{sum(counts)}."
        )
    chosen = np.flatnonzero(cells[0] >= min_logit)
    if len(chosen) > _MAX_CELLS:
        chosen = chosen[np.argsort(-cells[0, chosen], kind="stable")[:_MAX_CELLS]]
    values = cells[:, chosen].T
    bounds = np.cumsum(counts)
    level = np.searchsorted(bounds, chosen, side="right")
    stride = np.array(STRIDES)[level]
    place = chosen - np.concatenate([[0], bounds[:-1]])[level]
    columns = width // stride
    corner = np.stack([place % columns, place // columns], axis=1)
    step = stride[:, None].astype(np.float32)
    middle = (corner + np.float32(0.5)) * step
    centre = middle + values[:, 1:3] * step
    half = np.exp(np.clip(values[:, 3:5], -_MAX_LOG_SIZE, _MAX_LOG_SIZE)) * step / 2
    points = middle[:, None] + values[:, 5:].reshape(-1, 5, 2) * step[:, None]
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    order = np.argsort(-values[:, 0], kind="stable")
    return (
        boxes[order].astype(np.float32),
        values[order, 0].astype(np.float32),
        points[order].astype(np.float32),
    )


def logit(probability: float) -> float:
    """Returns the logarithm of the odds of a probability strictly between 0 and 1."""
    return math.log(probability / (1 - probability))
