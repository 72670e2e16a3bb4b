"""Searches a photo at several sizes, in tiles where it is large, and joins what is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from mien.detectors.boxes import nms
from mien.detectors.scales import Scale, ScaleRules, plan_scales, tiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mien.arrays import F32, U8, Bools


#: Most boxes of one photo that go on, the most confident.
MAX_CANDIDATES = 3000
#: Where a photo shrinks, blocks of its pixels are averaged first, down to this many times the size
#: that is wanted (PIL's ``reducing_gap``).
REDUCING_GAP = 2.0


class Candidates(NamedTuple):
    """Boxes (N, 4) that may hold a face, scores or logits (N,), landmarks (N, 5, 2), in pixels."""

    boxes_xyxy: F32
    scores: F32
    landmarks: F32

    def take(self, chosen: Bools | NDArray[np.intp]) -> Candidates:
        """Returns some of them, by index or mask."""
        return Candidates(*(values[chosen] for values in self))

    def centred_in(self, width: int, height: int) -> Bools:
        """Which ones (N,) have their centre in a photo of this size."""
        x, y = ((self.boxes_xyxy[:, :2] + self.boxes_xyxy[:, 2:]) / 2).T
        inside: Bools = (x > 0) & (x < width) & (y > 0) & (y < height)
        return inside

    def move(self, factor: F32 | float, shift: F32 | float = 0.0) -> Candidates:
        """Returns them at ``factor`` (2,) times their place, plus ``shift`` (2,)."""
        boxes = self.boxes_xyxy.reshape(-1, 2, 2) * factor + shift
        points = self.landmarks * factor + shift
        return Candidates(
            boxes.reshape(-1, 4).astype(np.float32), self.scores, points.astype(np.float32)
        )

    def suppress(self, iou: float, inside: float = 1.0) -> Candidates:
        """Returns those that overlap no more confident one, the most confident first."""
        return self.take(nms(self.boxes_xyxy, self.scores, iou_threshold=iou, inside=inside))

    @classmethod
    def join(cls, parts: list[Candidates]) -> Candidates:
        """Returns those of several parts."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate(values) for values in zip(*parts, strict=True)))


@dataclass(frozen=True)
class PyramidSearch:
    """A network, and at which sizes it searches a photo of any size.

    ``network`` finds candidates from a score on in one input, uint8 (H, W, 3) of at most
    ``ScaleRules.tile`` pixels a side. Above an overlap of ``iou`` the less confident box goes.
    ``coarser_gap`` is the reducing gap of all scales but the finest: faces are large there.
    """

    network: Callable[[U8, float], Candidates]
    rules: ScaleRules
    iou: float = 0.4
    coarser_gap: float = REDUCING_GAP

    def propose(
        self, image_rgb: U8, min_score: float, picture: Image.Image | None = None
    ) -> Candidates:
        """Returns what may be faces, the most confident first, in pixels of the photo.

        ``picture`` is PIL's image of the photo, where there is one already.
        """
        height, width = image_rgb.shape[:2]
        scales = plan_scales(width, height, self.rules)
        picture = Image.fromarray(image_rgb) if picture is None else picture
        parts = []
        for scale in scales:
            size = scale.width, scale.height
            if size == (width, height):
                parts.append(self._search(image_rgb, scale, min_score))
                continue
            gap = REDUCING_GAP if scale is scales[0] else self.coarser_gap
            scaled = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=gap)
            factor = np.array([width / scale.width, height / scale.height], np.float32)
            parts.append(self._search(np.asarray(scaled), scale, min_score).move(factor))
        found = Candidates.join(parts)
        found = found.take(found.centred_in(width, height))
        if len(found.scores) > MAX_CANDIDATES:
            found = found.take(np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES])
        return found.suppress(self.iou)

    def _search(self, pixels: U8, scale: Scale, min_score: float) -> Candidates:
        """Searches the photo at one size, uint8 (H, W, 3)."""
        parts = []
        for top, bottom in tiles(scale.height, self.rules):
            for left, right in tiles(scale.width, self.rules):
                found = self.network(pixels[top:bottom, left:right], min_score)
                found = found.take(self._own(found.boxes_xyxy, (left, top, right, bottom), scale))
                if left or top:
                    found = found.move(1.0, np.array([left, top], np.float32))
                parts.append(found)
        return Candidates.join(parts)

    def _own(self, boxes: F32, tile: tuple[int, int, int, int], scale: Scale) -> Bools:
        """Which boxes a tile reports: of a size that the scale reports, not cut by the tile."""
        side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0)
        kept: Bools = (side >= scale.min_face) & (side < scale.max_face)
        if tile == (0, 0, scale.width, scale.height):
            return kept
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        left, top, right, bottom = tile
        # A face whose centre lies beyond the middle of an overlap, or nearly, is another tile's.
        margin = 0.4 * self.rules.overlap
        low = np.array([margin if left else -np.inf, margin if top else -np.inf], np.float32)
        far_x = right - left - margin if right < scale.width else np.inf
        far_y = bottom - top - margin if bottom < scale.height else np.inf
        high = np.array([far_x, far_y], np.float32)
        return kept & ((centre >= low) & (centre <= high)).all(axis=1)
