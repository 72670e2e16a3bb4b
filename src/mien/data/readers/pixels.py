"""Pictures that a table holds as bare numbers, handed out as PNG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PixelImages:
    """Gray pictures in memory.

    Args:
        keys: Id of each picture, for example ``"fer2013.csv#fer0000001.png"``.
        pixels: uint8 (N, H, W).
    """

    keys: Sequence[str]
    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        """Returns the name of a picture."""
        return self.keys[index]

    def read(self, index: int) -> bytes:
        """Returns a picture as PNG; equal pixels give equal bytes."""
        import io

        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(self.pixels[int(index)]).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def size(self, index: int) -> int:
        """Returns the number of pixels: as good as bytes to tell that pictures differ."""
        return int(self.pixels[int(index)].size)
