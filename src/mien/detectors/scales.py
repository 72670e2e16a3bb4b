"""At which sizes a photo is searched: chosen by its size, with a bound on the work."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Faces are found from about this many pixels of a scale on.
SMALLEST_FACE = 10.0


@dataclass(frozen=True)
class ScaleRules:
    """How a photo becomes inputs of the network; part of ``detector.json``.

    A large photo is shrunk to ``max_pixels``; a small one is enlarged until its longer side is
    ``small_side``, by ``max_zoom`` at most. For faces that fill the photo, a scale whose longer
    side is ``coarse_side`` or more is followed by a coarser one, ``step`` times its size; it then
    reports faces up to ``max_face`` of its pixels, the coarser one those from ``min_face`` of its
    own. ``tile`` is the longest side of one input in pixels, of which neighbours share ``overlap``.
    """

    max_pixels: float = 3_000_000
    small_side: int = 448
    max_zoom: float = 2.0
    step: float = 0.25
    coarse_side: int = 448
    max_face: float = 320.0
    min_face: float = 24.0
    tile: int = 1280
    overlap: int = 160

    def __post_init__(self) -> None:
        sound = self.max_pixels >= 1024 and 0 < self.step <= 0.5 and 1 <= self.max_zoom <= 8
        if not (sound and self.coarse_side >= 32 and 0 <= self.overlap < self.tile / 2):
            raise ConfigError(
                "scales need max_pixels from 1024, step above 0 to 0.5, max_zoom from 1 to 8, "
                f"coarse_side from 32 and overlap below half of tile; got {self}."
            )

    @property
    def working_side(self) -> int | None:
        """Shorter side, in pixels, of what a photo of 4:3 needs at most; None: all of it."""
        if math.isinf(self.max_pixels):
            return None
        return max(640, round(math.sqrt(self.max_pixels * 3 / 4)))

    def fast(self) -> ScaleRules:
        """Returns the rules of ``mien:fast``: half the side of a 640x480 frame, never enlarged."""
        return replace(self, max_pixels=160_000, max_zoom=1.0)

    def full(self) -> ScaleRules:
        """Returns the rules of ``mien:full``: every pixel, however many."""
        return replace(self, max_pixels=math.inf)


@dataclass(frozen=True)
class Scale:
    """One size of the photo, for faces whose longer side fits ``min_face <= side < max_face``."""

    width: int
    height: int
    min_face: float = 0.0
    max_face: float = math.inf


def plan_scales(width: int, height: int, rules: ScaleRules) -> list[Scale]:
    """Returns the sizes at which a photo is searched, the finest first.

    >>> [(s.width, s.height) for s in plan_scales(640, 480, ScaleRules())]
    [(640, 480), (160, 120)]
    >>> [(s.width, s.height) for s in plan_scales(112, 84, ScaleRules())]
    [(224, 168)]
    """
    longest = max(width, height)
    factor = min(1.0, math.sqrt(rules.max_pixels / (width * height)))
    if longest < rules.small_side:
        factor = min(rules.max_zoom, rules.small_side / longest)
    scales: list[Scale] = []
    floor = 0.0
    while True:
        size = max(1, round(width * factor)), max(1, round(height * factor))
        coarser = max(size) > rules.coarse_side
        # A face larger than the overlap may be cut by every tile.
        most = rules.overlap if max(size) > rules.tile else rules.max_face
        scales.append(Scale(*size, floor, most if coarser else math.inf))
        if not coarser:
            return scales
        factor, floor = factor * rules.step, rules.min_face


def search_warnings(width: int, height: int, rules: ScaleRules, min_face: float) -> tuple[str, ...]:
    """Says which faces of a photo the bound on the work leaves out, in at most one sentence.

    >>> search_warnings(8000, 6000, ScaleRules(), 20)[0][:52]
    "faces below 0.5 % of the photo's longer side may be "
    >>> search_warnings(640, 480, ScaleRules(), 20)
    ()
    """
    scale = plan_scales(width, height, rules)[0]
    smallest = SMALLEST_FACE * width / scale.width
    if smallest <= max(1.05 * min_face, SMALLEST_FACE):
        return ()
    sentence = (
        f"faces below {100 * smallest / max(width, height):.1f} % of the photo's longer side may "
        f"be missing: it was searched at {scale.width}x{scale.height} pixels; the detector "
        "'mien:full' searches every pixel"
    )
    return (sentence,)


def tiles(length: int, rules: ScaleRules) -> Iterator[tuple[int, int]]:
    """Yields begin and end of the tiles along one side, all of nearly one length.

    >>> list(tiles(2000, ScaleRules(tile=1280, overlap=160)))
    [(0, 1080), (920, 2000)]
    >>> list(tiles(640, ScaleRules()))
    [(0, 640)]
    """
    if length <= rules.tile:
        yield 0, length
        return
    count = math.ceil((length - rules.overlap) / (rules.tile - rules.overlap))
    step = (length - rules.overlap) / count
    for number in range(count):
        yield round(number * step), round((number + 1) * step + rules.overlap)
