"""From a detector's box to the square that mien's models expect.

Detectors draw their boxes differently: one from brow to chin, another around the whole head. The
models are trained on FER2013's faces, which are framed in one way. A :class:`Framing` says how to
get from the first to the second; ``docs/framing.md`` says how the numbers were measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.arrays import F64, Floats


@dataclass(frozen=True)
class Framing:
    """How a detector's boxes relate to the framing of FER2013's faces.

    Args:
        scale: Side of the square crop, as a multiple of the box's own side.
        shift_x: How far the crop's centre lies right of the box's, in sides of the crop.
        shift_y: How far it lies below.
        side: What the side of a box w by h is: ``"sqrt"``, the square root of ``w * h``, which
            is the steadiest; or ``"max"``, the longer one, which cuts nothing off.

    Raises:
        ConfigError: If a number is not finite, the scale is not above 0, or ``side`` is unknown.

    >>> Framing(scale=1.2).shift_y
    0.0
    """

    scale: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    side: Literal["sqrt", "max"] = "sqrt"

    def __post_init__(self) -> None:
        numbers = (self.scale, self.shift_x, self.shift_y)
        if not all(math.isfinite(number) for number in numbers) or self.scale <= 0:
            raise ConfigError(
                f"a framing needs finite numbers and a scale above 0; got scale={self.scale}, "
                f"shift_x={self.shift_x}, shift_y={self.shift_y}."
            )
        if self.side not in {"sqrt", "max"}:
            raise ConfigError(f"the side of a framing is 'sqrt' or 'max'; got {self.side!r}.")


def crop_box(
    box_xyxy: Floats | Sequence[float] | Sequence[Sequence[float]],
    framing: Framing,
    margin: float = 1.0,
) -> F64:
    """Returns the square to cut out for a face box.

    ``side = framing.scale * sqrt(w * h)``, or ``max(w, h)`` where the framing says so; the square's
    centre is the box's centre moved by ``(shift_x, shift_y) * side``; ``margin`` then grows the
    square around that centre.

    Args:
        box_xyxy: (4,) or (N, 4), in pixels.
        framing: Of the detector that drew the box.
        margin: Factor on the side, from the model's ``config.json``.

    Returns:
        Square corners x1, y1, x2, y2 in pixels, of the shape given; may reach past the border.

    Raises:
        ConfigError: If the shape is wrong or the margin is not a number above 0.

    >>> crop_box([10, 10, 26, 46], Framing(scale=1.5)).tolist()
    [0.0, 10.0, 36.0, 46.0]
    """
    boxes = np.asarray(box_xyxy, dtype=np.float64)
    if boxes.ndim not in {1, 2} or boxes.shape[-1] != 4:
        raise ConfigError(f"a face box must have shape (4,) or (N, 4); got {boxes.shape}.")
    if not (math.isfinite(margin) and margin > 0):
        raise ConfigError(f"margin must be a number above 0; got {margin!r}.")
    low, high = boxes[..., :2], boxes[..., 2:]
    sizes = high - low
    if framing.side == "sqrt":
        side = framing.scale * np.sqrt(sizes.prod(axis=-1, keepdims=True))
    else:
        side = framing.scale * sizes.max(axis=-1, keepdims=True)
    centre = (low + high) / 2 + side * np.array([framing.shift_x, framing.shift_y])
    half = side * (margin / 2)
    return np.concatenate([centre - half, centre + half], axis=-1)
