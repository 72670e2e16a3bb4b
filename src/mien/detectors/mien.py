"""``mien``: the detector inside the package. Three small networks of our own, by ONNX Runtime.

The first one searches a photo at its own size, in tiles where it is large, and again at a quarter
of that for faces that fill it; small photos are enlarged. The second one examines each
region that might be a face: how likely it is one, and where exactly it lies. The third one
places the landmarks of what is reported. ``mien:fast`` searches a small version of the photo,
``mien:full`` every pixel of one that is very large. How the networks were trained, and how well
they find what, is in ``docs/detector.md``.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from PIL import Image

from mien.backends.session import Session
from mien.detectors.bundle import FOLDER, LANDMARKS, NETWORK, REFINER, read_bundle
from mien.detectors.cells import FaceProposer
from mien.detectors.crops import CropNetwork
from mien.detectors.detections import Detections
from mien.detectors.landmarks import LandmarkLocalizer
from mien.detectors.protocol import CheckedDetector
from mien.detectors.refiner import FaceRefiner
from mien.detectors.scales import search_warnings
from mien.detectors.search import Candidates, PyramidSearch

if TYPE_CHECKING:
    import os

    from mien.arrays import U8

#: Proposals whose longer side is below this share of the smallest face are not examined.
_SLACK = 0.8
#: At coarser scales blocks of pixels are enough.
_COARSER_GAP = 1.0
Search = Literal["auto", "fast", "full"]


class MienDetector(CheckedDetector):
    """Finds faces with the bundled networks, with five landmarks each.

    ``search`` is ``"auto"``, which adapts to the photo's size, with a bound on the work;
    ``"fast"``, a small version of it, for video and weak machines; or ``"full"``: every pixel. 0
    ``threads`` leave it to ONNX Runtime; None as ``min_score`` takes the one of ``detector.json``.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        threads: int = 0,
        search: Search = "auto",
        min_score: float | None = None,
    ) -> None:
        folder = FOLDER if folder is None else Path(folder)
        self.config = config = read_bundle(folder)
        self.name = "mien" if search == "auto" else f"mien:{search}"
        scales = config.scales
        rules = {"auto": scales, "fast": scales.fast(), "full": scales.full()}[search]
        self.working_side = rules.working_side
        self.framing = config.framing
        self.min_score = config.min_score if min_score is None else min_score
        digests = config.sha256
        first, second, third = (
            Session(folder / name, threads=threads, sha256=digests.get(name, ""), spin=True)
            for name in (NETWORK, REFINER, LANDMARKS)
        )
        self._proposer = FaceProposer(first)
        self._search = PyramidSearch(self._proposer, rules, config.iou, _COARSER_GAP)
        examiner = CropNetwork(second, config.context, config.crop_size, numbers=15)
        self._refiner = FaceRefiner(examiner, config.refined)
        marker = CropNetwork(third, config.mark_context, config.mark_size, numbers=10)
        self._landmarks = LandmarkLocalizer(marker, config.marked)

    def single_threaded(self) -> Self:
        """Returns the same detector with one thread per call."""
        other = copy.copy(self)
        other._search = replace(self._search, network=self._proposer.single_threaded())
        other._refiner = self._refiner.single_threaded()
        other._landmarks = self._landmarks.single_threaded()
        return other

    @property
    def fingerprint(self) -> str:
        """The networks' digests, the threshold and the scales."""
        digests = " ".join(digest[:16] for _, digest in sorted(self.config.sha256.items()))
        return f"{self.name} {digests} {self.min_score:g}"

    def find(self, image_rgb: U8, min_face: float) -> Detections:
        """Finds faces; with a warning where the bound on the work left small ones out."""
        height, width = image_rgb.shape[:2]
        picture = Image.fromarray(image_rgb)
        proposed, refined = self.examine(image_rgb, min_face=min_face, picture=picture)
        scores = self.config.calibration.scores(proposed.scores, refined.scores)
        found = refined._replace(scores=scores).take(scores >= self.min_score)
        found = found.suppress(self.config.iou, self.config.inside)
        found = self._landmarks.place(picture, found)
        return Detections(*found, search_warnings(width, height, self._search.rules, min_face))

    def examine(
        self, image_rgb: U8, *, min_face: float = 0.0, picture: Image.Image | None = None
    ) -> tuple[Candidates, Candidates]:
        """Returns what both stages say of each proposal not much below ``min_face``, as logits.

        ``picture`` is PIL's image of the photo, where there is one already.
        """
        picture = Image.fromarray(image_rgb) if picture is None else picture
        proposed = self._search.propose(image_rgb, self.config.propose, picture)
        sides = (proposed.boxes_xyxy[:, 2:] - proposed.boxes_xyxy[:, :2]).max(axis=1, initial=0)
        proposed = proposed.take(sides >= _SLACK * min_face)
        refined = self._refiner.refine(picture, proposed)
        inside = refined.centred_in(image_rgb.shape[1], image_rgb.shape[0])
        return proposed.take(inside), refined.take(inside)
