"""Animated pictures as clips: GIF, WebP, PNG and AVIF, through Pillow.

FFmpeg reads some of them in part only, and none with transparency laid over grey as photos are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mien.images import ImageLimits
from mien.images.guard import open_picture, picture_format, refusals, silent_pillow
from mien.images.pixels import pil_to_rgb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mien.arrays import U8

#: Seconds per unit of time, and how long browsers show a frame that does not say.
TICK, _DEFAULT_MS = Fraction(1, 1000), 100


@dataclass(frozen=True)
class Still:
    """A frame of an animation, with the names that PyAV's frames have."""

    pts: int
    duration_ms: int
    image_rgb: U8
    rotation: int = 0

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.image_rgb.shape[1])

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.image_rgb.shape[0])

    def to_ndarray(self, **_options: Any) -> U8:
        """Returns uint8 (H, W, 3)."""
        return self.image_rgb


def is_animated_picture(path: Path) -> bool:
    """Tells whether a file begins like a picture; as a clip it is an animation."""
    with path.open("rb") as file:
        return picture_format(file.read(512)) is not None


def read_stills(path: Path, max_pixels: int) -> Iterator[Still]:
    """Yields the frames of an animation with their times in milliseconds.

    Raises:
        InputError: If a frame is damaged or too large.
    """
    data, limits, pts = path.read_bytes(), ImageLimits(max_pixels=max_pixels), 0
    with silent_pillow(), refusals(repr(str(path)), data), open_picture(data) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image_rgb = pil_to_rgb(image, name=repr(str(path)), limits=limits)
            shown_ms = round(image.info.get("duration") or 0)
            shown_ms = shown_ms if shown_ms > 10 else _DEFAULT_MS
            yield Still(pts, shown_ms, image_rgb)
            pts += shown_ms
