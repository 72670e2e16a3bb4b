"""Animated pictures as clips: GIF, WebP, PNG and AVIF, through Pillow.

FFmpeg reads some of them in part only, and none with transparency laid over grey as photos are.
"""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING

from mien.errors import InputError
from mien.images import ImageLimits
from mien.images.guard import open_picture, picture_format, refusals, silent_pillow
from mien.images.pixels import pil_to_rgb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds per unit of time, and how long browsers show a frame that does not say.
TICK, _DEFAULT_MS = Fraction(1, 1000), 100
#: Largest animation, in bytes: Pillow reads it whole.
MAX_BYTES = 200_000_000


def is_animated_picture(path: Path) -> bool:
    """Tells whether a file begins like a picture; as a clip it is an animation."""
    with path.open("rb") as file:
        return picture_format(file.read(512)) is not None


def read_stills(path: Path, max_pixels: int) -> Iterator[SimpleNamespace]:
    """Yields the frames of an animation, times in milliseconds, with the names of PyAV's frames."""
    if (size := path.stat().st_size) > MAX_BYTES:
        reason = f"is an animation of {size:,} bytes, which are read at once; the limit is"
        hint = "Convert it to MP4, which is read frame by frame."
        raise InputError(f"{reason} {MAX_BYTES:,}", subject=repr(str(path)), hint=hint)
    data, limits, pts = path.read_bytes(), ImageLimits(max_pixels=max_pixels), 0
    with silent_pillow(), refusals(repr(str(path)), data), open_picture(data) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image_rgb = pil_to_rgb(image, name=repr(str(path)), limits=limits)
            shown_ms = round(image.info.get("duration") or 0)
            shown_ms = shown_ms if shown_ms > 10 else _DEFAULT_MS
            yield SimpleNamespace(
                pts=pts, duration_ms=shown_ms, image_rgb=image_rgb, rotation=0,
                width=image_rgb.shape[1], height=image_rgb.shape[0],
            )  # fmt: skip
            pts += shown_ms
