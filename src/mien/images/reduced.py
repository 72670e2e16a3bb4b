"""Large JPEG files at a half, a quarter or an eighth of their size, for who looks from afar.

A JPEG file holds blocks of 8x8 pixels as frequencies. Leaving the high ones out gives a smaller
picture for a fraction of the work (Pillow calls this ``draft``); a face detector scales what it
gets down to some hundred pixels anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, JpegImagePlugin

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray


@dataclass
class OpenedImage:
    """A picture that was decoded, perhaps at a reduced size.

    Args:
        image_rgb: uint8 (h, w, 3).
        width: Of the whole picture, upright, in pixels.
        height: Of the whole picture.
        again: Decodes it whole; None where ``image_rgb`` is the whole already.
    """

    image_rgb: NDArray[np.uint8]
    width: int
    height: int
    again: Callable[[], NDArray[np.uint8]] | None = None

    @property
    def factors(self) -> tuple[float, float]:
        """Pixels of the whole picture a pixel of ``image_rgb``, across and down."""
        height, width = self.image_rgb.shape[:2]
        return self.width / width, self.height / height

    def whole(self) -> NDArray[np.uint8]:
        """Returns uint8 (height, width, 3).

        Raises:
            InputError: If the whole cannot be decoded though the reduced picture could.
        """
        if self.again is not None:
            self.image_rgb, self.again = self.again(), None
        return self.image_rgb


def shrink(image: Image.Image, min_side: int) -> bool:
    """Asks for a JPEG file at the smallest size whose shorter side is at least ``min_side``.

    Args:
        image: Opened, not loaded yet; changed.
        min_side: In pixels.

    Returns:
        Whether the picture will be smaller than its file says; False for every other format.

    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (400, 300)).save(file, "JPEG")
    >>> image = Image.open(file)
    >>> shrink(image, 100), image.size
    (True, (200, 150))
    """
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return False
    size = image.size
    image.draft(image.mode, (min_side, min_side))
    return image.size != size
