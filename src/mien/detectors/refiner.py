"""The second stage of ``mien``: a small network examines what the first one proposes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.detectors.framing import Framing, crop_box
from mien.detectors.search import Candidates
from mien.errors import ModelError
from mien.preprocess import Preprocessing, crop_faces

if TYPE_CHECKING:
    from mien.arrays import U8, Bools
    from mien.backends.session import Session

#: Crops per run of the network: bounds the memory of a photo with many proposals.
_BATCH = 128
#: Least size of a refined box, as a share of the proposal's; and the logit of a smaller one.
_MIN_SHARE = 0.25
_UNSOUND = -99.0


class FaceRefiner:
    """Says how likely proposals are faces, and where exactly the faces lie.

    ``session`` takes ``crops`` (N, 3, S, S), RGB 0..255, to (N, 15): the score's logit, the box's
    corners and five points, as shares of the crop's side from its middle. A crop's side is
    ``context`` times the proposal's. ``weight`` is that of its boxes and landmarks next to the
    proposal's, 0..1: the errors of the two differ, and their mean is more exact than either.
    """

    def __init__(self, session: Session, *, context: float, size: int, weight: float) -> None:
        shape = session.inputs[0].shape
        if list(shape[1:]) != [3, size, size] or session.outputs[0].shape[-1] != 15:
            reason = f"is not the second stage of mien's detector: its input is {shape}"
            raise ModelError(reason, subject=str(session.path))
        self.session, self.weight = session, weight
        self.framing = Framing(scale=context)
        self._crop = Preprocessing(size=size, color="rgb")

    def single_threaded(self) -> FaceRefiner:
        """Returns the same with one thread per call."""
        session = self.session.single_threaded
        return FaceRefiner(
            session, context=self.framing.scale, size=self._crop.size, weight=self.weight
        )

    def refine(self, image_rgb: U8, found: Candidates) -> Candidates:
        """Examines proposals with centres in the photo: its own logits, both networks' boxes."""
        squares = crop_box(found.boxes_xyxy, self.framing)
        answers = [np.zeros((0, 15), np.float32)]
        for start in range(0, len(squares), _BATCH):
            crops = crop_faces(image_rgb, squares[start : start + _BATCH], self._crop)
            x = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32)
            answers.append(self.session.run(None, {self.session.inputs[0].name: x})[0])
        values = np.concatenate(answers)
        middle = (squares[:, None, :2] + squares[:, None, 2:]) / 2
        side = (squares[:, 2] - squares[:, 0])[:, None, None]
        places = values[:, 1:].reshape(-1, 7, 2) * side + middle
        own = places[:, :2].reshape(-1, 4)
        # Of what is no face, the network may say anything: not even a box.
        before = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
        share = ((own[:, 2:] - own[:, :2]) / before).min(axis=1, initial=np.inf)
        sound: Bools = share >= _MIN_SHARE
        weight = np.where(sound, self.weight, 0)[:, None]
        boxes = weight * own + (1 - weight) * found.boxes_xyxy
        points = weight[:, None] * places[:, 2:] + (1 - weight[:, None]) * found.landmarks
        scores = np.where(sound, values[:, 0], np.float32(_UNSOUND))
        return Candidates(boxes.astype(np.float32), scores, points.astype(np.float32))
