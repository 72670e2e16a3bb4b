"""What a clip, one of its frames and a position in it are."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a clip.

    Args:
        index: Its number from 0, in the order of display.
        pts: Its time in units of :attr:`Clip.time_base`, as the file has it.
        time_s: Its time in seconds from the start of the file.
        wanted: It is to be read, not only shown.
        image_rgb: uint8 (H, W, 3), upright.
    """

    index: int
    pts: int
    time_s: float
    wanted: bool
    image_rgb: NDArray[np.uint8]

    def mark(self) -> Mark:
        """Returns how to find this frame again."""
        return Mark(self.index, self.pts, zlib.crc32(np.ascontiguousarray(self.image_rgb).data))


@dataclass(frozen=True)
class Mark:
    """A position in a clip: the last frame that is done, and a checksum of its pixels."""

    index: int
    pts: int
    crc: int


@dataclass(frozen=True)
class Clip:
    """What a file says of its video.

    Args:
        path: The file.
        width: Pixels, upright, square.
        height: Pixels, upright, square.
        fps: Average frames per second.
        time_base: Seconds per unit of time.
        start_s: Where the file's time begins.
        duration_s: Length in seconds, or None where the file does not say.
        frames: Number of frames, or None where the file does not say.
        has_audio: It has sound.
    """

    path: Path
    width: int
    height: int
    fps: float
    time_base: Fraction
    start_s: float
    duration_s: float | None
    frames: int | None
    has_audio: bool

    def time_of(self, pts: int) -> float:
        """Returns the seconds from the file's start of a time in its units."""
        return float(pts * self.time_base) - self.start_s
