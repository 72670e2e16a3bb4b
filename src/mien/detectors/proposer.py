"""The first stage of ``mien``: a network that finds what may be faces in one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.detectors.cells import decode_cells
from mien.detectors.search import Candidates
from mien.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.backends.session import Session

#: The network takes sides that are multiples of this, in pixels.
MULTIPLE = 32


@dataclass(frozen=True)
class FaceProposer:
    """Finds what may be faces; its scores are logits.

    Args:
        session: ``image`` (1, 3, H, W), RGB 0..255, to the numbers of the cells (1, 15, A).

    Raises:
        ModelError: If it is no such network.
    """

    session: Session

    def __post_init__(self) -> None:
        shape = self.session.outputs[0].shape
        if len(self.session.inputs) != 1 or len(shape) != 3 or shape[1] != 15:
            raise ModelError(
                f"is not mien's detector: its output is {shape}", subject=str(self.session.path)
            )

    def single_threaded(self) -> FaceProposer:
        """Returns the same with one thread per call."""
        return FaceProposer(self.session.single_threaded)

    def __call__(self, pixels: NDArray[np.uint8], min_score: float) -> Candidates:
        """Returns candidates in pixels of the input, uint8 (H, W, 3), from a logit on."""
        height, width = pixels.shape[:2]
        padded_h, padded_w = (-(-side // MULTIPLE) * MULTIPLE for side in (height, width))
        x = np.zeros((1, 3, padded_h, padded_w), np.float32)
        for channel in range(3):  # faster than all at once: each is written in one stroke
            x[0, channel, :height, :width] = pixels[:, :, channel]
        cells = self.session.run(None, {self.session.inputs[0].name: x})[0][0]
        return Candidates(*decode_cells(cells, padded_w, padded_h, min_score))
