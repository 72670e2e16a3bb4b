"""Runs a small network over square crops of a photo, as the detector's later stages do."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mien.detectors.framing import Framing, crop_box
from mien.errors import ModelError
from mien.preprocess import Preprocessing, crop_faces

if TYPE_CHECKING:
    from PIL import Image

    from mien.arrays import F32, F64, U8, Floats
    from mien.backends.session import Session

#: Crops per run of the network: bounds the memory of a photo with many faces.
BATCH = 128


@dataclass(frozen=True)
class CropNetwork:
    """Takes ``crops`` (N, 3, size, size), RGB 0..255, to (N, numbers).

    A crop's side is ``context`` times that of its box.

    Raises:
        ModelError: If the network of ``session`` has another input or output.
    """

    session: Session
    context: float
    size: int
    numbers: int

    def __post_init__(self) -> None:
        shape, numbers = self.session.inputs[0].shape, self.session.outputs[0].shape[-1]
        if [*shape[1:], numbers] != [3, self.size, self.size, self.numbers]:
            reason = f"is not the part of mien's detector that it should be: its input is {shape}"
            raise ModelError(reason, subject=str(self.session.path))

    @functools.cached_property
    def _framing(self) -> Framing:
        return Framing(scale=self.context)

    @functools.cached_property
    def _preprocessing(self) -> Preprocessing:
        return Preprocessing(size=self.size, color="rgb")

    def single_threaded(self) -> CropNetwork:
        """Returns the same with one thread per call."""
        return replace(self, session=self.session.single_threaded)

    def answers(
        self, image_rgb: U8 | Image.Image, boxes: Floats, *, mirrored: bool = False
    ) -> tuple[F32, F64]:
        """Returns the network's numbers (N, numbers), and the squares (N, 4) it has seen.

        Mirrored: (2, N, numbers), of the crops and of their mirror images.
        """
        squares = crop_box(boxes, self._framing)
        copies = 1 + mirrored
        parts = [np.zeros((copies, 0, self.numbers), np.float32)]
        for start in range(0, len(squares), BATCH):
            crops = crop_faces(image_rgb, squares[start : start + BATCH], self._preprocessing)
            x = np.empty((copies, len(crops), 3, self.size, self.size), np.float32)
            x[0] = crops.transpose(0, 3, 1, 2)
            x[1:] = x[0, ..., ::-1]
            values = self.session.run(
                None, {self.session.inputs[0].name: x.reshape(-1, *x.shape[2:])}
            )
            parts.append(values[0].reshape(copies, len(crops), self.numbers))
        answers = np.concatenate(parts, axis=1)
        return (answers if mirrored else answers[0]), squares


def in_photo(shares: Floats, squares: F64) -> F64:
    """Points (N, P, 2), shares of the squares' sides from their middles, in the photo's pixels."""
    middle = (squares[:, None, :2] + squares[:, None, 2:]) / 2
    side = (squares[:, 2] - squares[:, 0])[:, None, None]
    places: F64 = shares * side + middle
    return places
