"""Scene cuts: where a clip jumps to another picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_SIZE = (16, 9)
#: Mean change of a pixel, of 255, that a cut has at least; and how often the usual change.
_MIN, _TIMES = 22.0, 3.0
_USUAL = 8


class CutDetector:
    """Finds hard cuts by how much a 16x9 picture of each frame changes.

    A cut changes the picture by at least 22 of 255 on average, and by three times the median of
    the last eight changes, so that shaking cameras and dancers are no cuts. Fades are not found.

    >>> cuts = CutDetector()
    >>> black, white = np.zeros((90, 160, 3), np.uint8), np.full((90, 160, 3), 255, np.uint8)
    >>> [cuts.is_cut(picture) for picture in (black, black, white, white)]
    [False, False, True, False]
    """

    def __init__(self) -> None:
        self._last: NDArray[np.int16] | None = None
        self._changes: list[float] = []

    def is_cut(self, image_rgb: NDArray[np.uint8]) -> bool:
        """Takes the next frame, uint8 (H, W, 3); says whether a new scene starts with it."""
        small = Image.fromarray(image_rgb).resize(_SIZE, Image.Resampling.BOX, reducing_gap=1.0)
        now = np.asarray(small, dtype=np.int16)
        last, self._last = self._last, now
        if last is None:
            return False
        change = float(np.abs(now - last).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        if change >= _MIN and change >= _TIMES * usual:
            self._changes = []
            return True
        self._changes = [*self._changes[1 - _USUAL :], change]
        return False

    def to_state(self) -> dict[str, Any]:
        """Returns plain JSON types for :meth:`restore`."""
        last = None if self._last is None else self._last.tolist()
        return {"last": last, "changes": self._changes}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where :meth:`to_state` was called."""
        self._last = None if state["last"] is None else np.array(state["last"], dtype=np.int16)
        self._changes = [float(change) for change in state["changes"]]
