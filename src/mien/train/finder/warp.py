"""Affine maps of pictures and of the boxes and points in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.train.finder.labels import MIRRORED

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Warp:
    """The map ``p -> matrix @ p + shift`` from a source to a view, in pixels.

    >>> Warp.around((10, 10), (50, 40), scale=(2, 2)).points(np.array([[11.0, 10.0]])).tolist()
    [[52.0, 40.0]]
    """

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]

    @classmethod
    def around(
        cls,
        source: tuple[float, float],
        view: tuple[float, float],
        *,
        scale: tuple[float, float],
        degrees: float = 0.0,
        mirror: bool = False,
    ) -> Warp:
        """Makes the map that brings the point ``source`` to ``view``.

        Args:
            source: x, y in the source.
            view: x, y in the view.
            scale: Along the source's own x and y.
            degrees: Turn, clockwise as seen on the screen.
            mirror: Swap left and right first.
        """
        turn = math.radians(degrees)
        rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        matrix = rotation @ np.diag([-scale[0] if mirror else scale[0], scale[1]])
        return cls(matrix, np.asarray(view, np.float64) - matrix @ np.asarray(source, np.float64))

    @property
    def mirrors(self) -> bool:
        """Whether left and right change places."""
        return float(np.linalg.det(self.matrix)) < 0

    @property
    def zoom(self) -> float:
        """Pixels of the view for one of the source, on average."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix))))

    def points(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Maps points (..., 2)."""
        mapped: NDArray[np.float64] = points @ self.matrix.T + self.shift
        return mapped

    def landmarks(self, points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Maps landmarks (M, 5, 2); where the map mirrors, right and left swap names too."""
        mapped = self.points(points)
        return mapped[:, list(MIRRORED)] if self.mirrors else mapped

    def boxes(self, boxes: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Maps boxes (M, 4): the upright box around the ellipse that fills each.

        Half sizes become ``sqrt((a w/2)**2 + (b h/2)**2)`` by row (a, b) of the matrix: exact
        without a turn, and tighter around a turned head than the box of its turned corners.
        """
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        middle = self.points((boxes[:, :2] + boxes[:, 2:]) / 2)
        half = np.sqrt((((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2) @ (self.matrix**2).T)
        return np.concatenate([middle - half, middle + half], axis=1)

    def picture(
        self, levels: list[Image.Image], size: tuple[int, int], fill: Any = 0
    ) -> Image.Image:
        """Draws the part of a source that falls on a view of ``size`` (width, height).

        Args:
            levels: The source at its full size, at half, at a quarter and so on: the one whose
                pixels come nearest to the view's is read, so that shrinking does not alias.
            size: Of the view.
            fill: Colour of what lies outside the source.
        """
        level = min(max(int(-math.log2(max(self.zoom, 1e-6)) + 0.5), 0), len(levels) - 1)
        inverse = np.linalg.inv(self.matrix)
        offset = -inverse @ self.shift
        factor = np.array([
            levels[level].width / levels[0].width, levels[level].height / levels[0].height,
        ])  # fmt: skip
        inverse, offset = inverse * factor[:, None], offset * factor
        data = (*inverse[0], offset[0], *inverse[1], offset[1])
        return levels[level].transform(
            size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR, fillcolor=fill
        )


def make_levels(picture: Image.Image, count: int = 3) -> list[Image.Image]:
    """Returns a picture at its full size, at half, at a quarter, ..."""
    levels = [picture]
    while len(levels) < count and min(levels[-1].size) >= 32:
        levels.append(levels[-1].reduce(2))
    return levels


def fill_wedges(image_rgb: NDArray[np.uint8], dark: int = 24) -> NDArray[np.uint8]:
    """Repeats border pixels into the black corners that an alignment has left.

    In every row and column, a run of black from the border inwards takes the first colour
    beyond it.
    """
    filled = image_rgb.copy()
    for axis in (0, 1):
        for mirrored in (False, True):
            view = filled.swapaxes(0, 1) if axis else filled
            view = view[:, ::-1] if mirrored else view
            bright = (view.max(axis=2) > dark).argmax(axis=1)
            run = np.where(bright > 0, np.minimum(bright + 2, view.shape[1] - 1), 0)
            mask = np.arange(view.shape[1])[None] < run[:, None]
            colour = view[np.arange(len(view)), run]
            view[mask] = np.broadcast_to(colour[:, None], view.shape)[mask]
    return filled
