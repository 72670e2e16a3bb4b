"""The first stage of ``mien``: a network whose cells say what may be faces in one input."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.detectors.search import Candidates
from mien.errors import ModelError

if TYPE_CHECKING:
    from mien.arrays import F32, F64, U8
    from mien.backends.session import Session

STRIDES = (8, 16, 32)
#: The network takes sides that are multiples of this, in pixels.
MULTIPLE = 32
#: Numbers of a cell.
NUMBERS = 15
_MAX_LOG_SIZE = 6.0
_MAX_CELLS = 2000


@dataclass(frozen=True)
class FaceProposer:
    """Finds what may be faces; its scores are logits.

    ``session`` takes ``image``, uint8 (1, H, W, 3) in RGB, to the numbers of the cells (A, 15).
    """

    session: Session

    def __post_init__(self) -> None:
        given, answered = self.session.inputs[0], self.session.outputs[0].shape
        takes_pixels = given.type == "tensor(uint8)" and given.shape[3:] == [3]
        if not takes_pixels or len(answered) != 2 or answered[1] != NUMBERS:
            reason = f"is not mien's detector: it takes {given.type} {given.shape} to {answered}"
            raise ModelError(reason, subject=str(self.session.path))

    def single_threaded(self) -> FaceProposer:
        """Returns the same with one thread per call."""
        return FaceProposer(self.session.single_threaded)

    def __call__(self, pixels: U8, min_score: float) -> Candidates:
        """Returns candidates in pixels of the input, uint8 (H, W, 3), from a logit on."""
        image = pad_pixels(pixels)
        (cells,) = self.session.run(None, {self.session.inputs[0].name: image[None]})
        return Candidates(*decode_cells(cells, image.shape[1], image.shape[0], min_score))


def pad_pixels(pixels: U8) -> U8:
    """Pads uint8 (H, W, 3) right and below with black, to a multiple of 32; itself if it fits."""
    height, width = pixels.shape[:2]
    padded = -(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE
    if padded == (height, width):
        return np.ascontiguousarray(pixels)
    image = np.zeros((*padded, 3), np.uint8)
    image[:height, :width] = pixels
    return image


def decode_cells(cells: F32, width: int, height: int, min_logit: float) -> tuple[F32, F32, F32]:
    """Decodes the network's output: boxes (N, 4), logits (N,), landmarks (N, 5, 2), input pixels.

    A cell of stride ``s`` and centre ``c`` holds a score logit, ``(dx, dy)`` and ``(lw, lh)`` for a
    box with centre ``c + s (dx, dy)`` and size ``s exp(lw, lh)``, and five points
    ``c + s (px, py)``. ``cells`` (A, 15) are those of stride 8 by rows, then 16, then 32. At most
    2000 come back, the most confident first.

    >>> cells = np.full((21, 15), -9, np.float32)
    >>> cells[3, :5] = 0, 0.5, 0, 0, np.log(2)
    >>> decode_cells(cells, 32, 32, -1.0)[0].round(3).tolist()
    [[28.0, -4.0, 36.0, 12.0]]
    """
    middles, steps = cell_grid(width, height)
    if len(cells) != len(steps):
        raise ModelError(
            f"the detector answered for {len(cells)} cells; an input of {width}x{height} has "
            f"{len(steps)}."
        )
    scores = cells[:, 0]
    chosen = np.flatnonzero(scores >= min_logit)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")[:_MAX_CELLS]]
    values, middle, step = cells[chosen], middles[chosen], steps[chosen]
    centre = middle + values[:, 1:3] * step
    half = np.exp(np.minimum(np.maximum(values[:, 3:5], -_MAX_LOG_SIZE), _MAX_LOG_SIZE)) * step / 2
    boxes = np.empty((len(chosen), 4), np.float32)
    boxes[:, :2], boxes[:, 2:] = centre - half, centre + half
    points = middle[:, None] + values[:, 5:].reshape(-1, 5, 2) * step[:, None]
    return boxes, values[:, 0], points.astype(np.float32)


@functools.lru_cache(maxsize=8)
def cell_grid(width: int, height: int) -> tuple[F64, F32]:
    """Returns the middles (A, 2), x and y in pixels, and the strides (A, 1) of an input's cells.

    They stand in the order of the network's output, and are kept for the next photo of that size.
    """
    middles, steps = [], []
    for stride in STRIDES:
        row, column = np.indices((height // stride, width // stride)).reshape(2, -1)
        middles.append((np.stack([column, row], axis=1) + 0.5) * stride)
        steps.append(np.full((len(row), 1), stride, np.float32))
    grid = np.concatenate(middles), np.concatenate(steps)
    for values in grid:
        values.flags.writeable = False
    return grid
