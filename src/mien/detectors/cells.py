"""The first stage of ``mien``: a network whose cells say what may be faces in one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.detectors.search import Candidates
from mien.errors import ModelError

if TYPE_CHECKING:
    from mien.arrays import F32, U8
    from mien.backends.session import Session

STRIDES = (8, 16, 32)
#: The network takes sides that are multiples of this, in pixels.
MULTIPLE = 32
_MAX_LOG_SIZE = 6.0
_MAX_CELLS = 2000


@dataclass(frozen=True)
class FaceProposer:
    """Finds what may be faces; its scores are logits.

    ``session`` takes ``image`` (1, 3, H, W), RGB 0..255, to the numbers of the cells (1, 15, A).
    """

    session: Session

    def __post_init__(self) -> None:
        shape = self.session.outputs[0].shape
        if len(self.session.inputs) != 1 or len(shape) != 3 or shape[1] != 15:
            reason = f"is not mien's detector: its output is {shape}"
            raise ModelError(reason, subject=str(self.session.path))

    def single_threaded(self) -> FaceProposer:
        """Returns the same with one thread per call."""
        return FaceProposer(self.session.single_threaded)

    def __call__(self, pixels: U8, min_score: float) -> Candidates:
        """Returns candidates in pixels of the input, uint8 (H, W, 3), from a logit on."""
        x = to_input(pixels)
        cells = self.session.run(None, {self.session.inputs[0].name: x})[0][0]
        return Candidates(*decode_cells(cells, x.shape[3], x.shape[2], min_score))


def to_input(pixels: U8, size: tuple[int, int] | None = None) -> F32:
    """Pads uint8 (H, W, 3) right and below with black, to a size or a multiple of 32."""
    height, width = pixels.shape[:2]
    padded = size or (-(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE)
    x = np.zeros((1, 3, *padded), np.float32)
    for channel in range(3):  # faster than all at once: each is written in one stroke
        x[0, channel, :height, :width] = pixels[:, :, channel]
    return x


def decode_cells(cells: F32, width: int, height: int, min_logit: float) -> tuple[F32, F32, F32]:
    """Decodes the network's output: boxes (N, 4), logits (N,), landmarks (N, 5, 2), input pixels.

    A cell of stride ``s`` and centre ``c`` holds a score logit, ``(dx, dy)`` and ``(lw, lh)`` for a
    box with centre ``c + s (dx, dy)`` and size ``s exp(lw, lh)``, and five points
    ``c + s (px, py)``. ``cells`` (15, A) are those of stride 8 by rows, then 16, then 32. At most
    2000 come back, the most confident first.

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
