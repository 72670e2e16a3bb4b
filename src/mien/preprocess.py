"""The one way from a picture and its face boxes to a model's input.

Evaluation, both backends, the service and the demo go through :func:`to_batch`; training keeps
the uint8 crops of :func:`crop_faces` in memory and ends with the same normalisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.config import Saved
from mien.errors import ConfigError, InputError, suggest
from mien.images.pixels import check_rgb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.arrays import F32, F64, U8, Floats

__all__ = [
    "ALIGNMENTS",
    "COLORS",
    "INTERPOLATIONS",
    "NORMALIZATIONS",
    "Preprocessing",
    "crop_faces",
    "normalize",
    "recolor",
    "roll_degrees",
    "to_batch",
    "whole_box",
]

COLORS = {"gray": 1, "rgb": 3}
INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_REPEAT = Image.Resampling.NEAREST
NORMALIZATIONS = ("per_image", "fixed")
ALIGNMENTS = ("none", "eyes")


@dataclass(frozen=True)
class Preprocessing(Saved):
    """How a cropped face becomes a model's input. Stored in the model's ``config.json``.

    Args:
        size: Side S of the square input in pixels.
        color: ``"gray"`` (C = 1, ITU-R 601 luma) or ``"rgb"`` (C = 3).
        interpolation: ``"bilinear"``, ``"bicubic"`` or ``"lanczos"``; all average when they shrink.
        normalization: ``"per_image"``: ``(x - mean(x)) / (std(x) + epsilon)`` on 0..255 over all
            pixels of one face. ``"fixed"``: ``(x / 255 - mean) / std`` by channel.
        epsilon: Keeps flat pictures finite and weak contrast weak; ``per_image`` only.
        mean: By channel, on 0..1; ``fixed`` only.
        std: By channel, on 0..1; ``fixed`` only.
        align: ``"eyes"`` turns each crop about its centre so that the eyes lie level, where the
            detector gives landmarks; ``"none"`` cuts upright squares.

    Raises:
        ConfigError: If a value is unknown or impossible.

    >>> Preprocessing(size=48, color="gray").channels
    1
    """

    _what = "preprocessing"

    size: int
    color: str = "gray"
    interpolation: str = "bilinear"
    normalization: str = "per_image"
    epsilon: float = 10.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    align: str = "none"

    def __post_init__(self) -> None:
        for value, known in (
            (self.color, COLORS),
            (self.interpolation, INTERPOLATIONS),
            (self.normalization, NORMALIZATIONS),
            (self.align, ALIGNMENTS),
        ):
            if value not in known:
                raise ConfigError(f"unknown preprocessing value {value!r}." + suggest(value, known))
        if not isinstance(self.size, int) or not 8 <= self.size <= 1024:
            raise ConfigError(f"input size must be an integer from 8 to 1024; got {self.size!r}.")
        object.__setattr__(self, "mean", tuple(map(float, self.mean)))
        object.__setattr__(self, "std", tuple(map(float, self.std)))
        if self.normalization == "per_image" and not self.epsilon > 0:
            raise ConfigError(f"epsilon must be above 0; got {self.epsilon!r}.")
        complete = len(self.mean) == len(self.std) == self.channels
        if self.normalization == "fixed" and not (complete and all(s > 0 for s in self.std)):
            raise ConfigError(
                f"fixed normalization of {self.color} faces needs {self.channels} mean and "
                f"std value(s), std above 0; got mean {self.mean}, std {self.std}."
            )

    @property
    def channels(self) -> int:
        """Number of input channels C."""
        return COLORS[self.color]


def whole_box(width: int, height: int) -> tuple[float, float, float, float]:
    """Returns the largest centred square of a picture, as (x1, y1, x2, y2) in pixels.

    >>> whole_box(48, 48)
    (0.0, 0.0, 48.0, 48.0)
    """
    side = float(min(width, height))
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def crop_faces(
    image_rgb: U8 | Image.Image,
    boxes_xyxy: Floats | Sequence[Sequence[float]],
    preprocessing: Preprocessing,
    *,
    landmarks: Floats | None = None,
) -> U8:
    """Cuts faces out of a picture and scales them to the model's input size.

    Where a box reaches beyond the picture, the border pixels are repeated.

    Args:
        image_rgb: uint8 (H, W, 3), or PIL's image of one: less work where there is one already.
        boxes_xyxy: (N, 4) in pixels, the regions to cut, usually squares.
        preprocessing: Size, colour, interpolation and alignment.
        landmarks: (N, 5, 2) in pixels, the eye on the picture's left first, then the other; used
            only to align. None: upright squares.

    Returns:
        uint8 (N, S, S, C).

    Raises:
        InputError: If the picture or a box has the wrong shape, or a box is empty, not finite,
            or does not touch the picture.
    """
    if not isinstance(image_rgb, Image.Image):
        check_rgb(image_rgb, "faces are cut from")
    elif image_rgb.mode != "RGB":
        raise InputError(f"faces are cut from RGB pictures; got mode {image_rgb.mode}")
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    size, channels = preprocessing.size, preprocessing.channels
    if not len(boxes):
        return np.empty((0, size, size, channels), np.uint8)
    angles = [0.0] * len(boxes)
    if preprocessing.align == "eyes" and landmarks is not None:
        angles = roll_degrees(landmarks).tolist()
    column = Image.new("RGB" if channels == 3 else "L", (size, size * len(boxes)), None)
    for index, (box, angle) in enumerate(zip(boxes, angles, strict=True)):
        picture = _level(np.asarray(image_rgb), box, angle) if angle else (image_rgb, box)
        column.paste(_crop_one(*picture, preprocessing), (0, size * index))
    return np.array(column).reshape(-1, size, size, channels)


def recolor(faces_rgb: U8, preprocessing: Preprocessing) -> U8:
    """Turns colour faces of the model's own size into those that :func:`crop_faces` would cut.

    Faces are uint8 (N, S, S, 3), and then (N, S, S, C).
    """
    if preprocessing.color == "rgb":
        return faces_rgb
    n, height, width = faces_rgb.shape[:3]
    gray = Image.fromarray(faces_rgb.reshape(n * height, width, 3)).convert("L")
    return np.asarray(gray).reshape(n, height, width, 1)


def roll_degrees(landmarks: Floats) -> F64:
    """Returns by how much each face is turned clockwise in the picture plane.

    Args:
        landmarks: (N, 5, 2) in pixels; the first two are the eyes, the one on the left of an
            upright picture first.

    Returns:
        float64 (N,), degrees; 0 where the eyes coincide.

    >>> roll_degrees(np.array([[[0, 0], [10, 10], [0, 0], [0, 0], [0, 0]]])).round(6).tolist()
    [45.0]
    """
    eyes = np.asarray(landmarks, dtype=np.float64)[:, 1] - np.asarray(landmarks)[:, 0]
    return np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))


def _level(image_rgb: U8, box: F64, angle: float) -> tuple[U8, F64]:
    """Turns the surroundings of a box about its centre; returns them and the box in them."""
    height, width = image_rgb.shape[:2]
    if not np.isfinite(box).all():
        return image_rgb, box
    center = (box[:2] + box[2:]) / 2
    # The half-diagonal of the square holds every corner that turning brings in.
    reach = math.ceil(float(np.abs(box[2:] - box[:2]).max()) * 0.72) + 2
    first = np.floor(center).astype(int) - reach
    rows = np.clip(np.arange(first[1], first[1] + 2 * reach + 1), 0, height - 1)
    columns = np.clip(np.arange(first[0], first[0] + 2 * reach + 1), 0, width - 1)
    around = Image.fromarray(image_rgb[rows[:, None], columns[None, :]])
    middle = tuple((center - first).tolist())
    level = around.rotate(angle, Image.Resampling.BILINEAR, center=middle)
    return np.asarray(level), box - np.tile(first, 2)


def _crop_one(image_rgb: U8 | Image.Image, box: F64, preprocessing: Preprocessing) -> Image.Image:
    if isinstance(image_rgb, Image.Image):
        width, height = image_rgb.size
    else:
        height, width = image_rgb.shape[:2]
    x1, y1, x2, y2 = box.tolist()
    if not (math.isfinite(x1 + y1 + x2 + y2) and x2 > x1 and y2 > y1):
        raise InputError(f"a face box must be finite with x1 < x2 and y1 < y2; got {box.tolist()}.")
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise InputError(f"face box {box.tolist()} lies outside the {width}x{height} picture.")
    first_x, first_y, last_x, last_y = map(math.floor, (x1, y1, -x2, -y2))
    # One pixel more than needed on each side, so that interpolation sees its neighbours.
    left, top = max(first_x - 1, 0), max(first_y - 1, 0)
    right, bottom = min(1 - last_x, width), min(1 - last_y, height)
    # What a box needs beyond the picture's border.
    beyond = max(-first_x, 0), max(-first_y, 0), max(-last_x - width, 0), max(-last_y - height, 0)
    region = _surroundings(image_rgb, (left, top, right, bottom), beyond)
    if preprocessing.color == "gray":
        region = region.convert("L")
    origin_x, origin_y = left - beyond[0], top - beyond[1]
    return region.resize(
        (preprocessing.size, preprocessing.size),
        INTERPOLATIONS[preprocessing.interpolation],
        box=(x1 - origin_x, y1 - origin_y, x2 - origin_x, y2 - origin_y),
    )


def _surroundings(
    image_rgb: U8 | Image.Image, part: tuple[int, int, int, int], beyond: tuple[int, int, int, int]
) -> Image.Image:
    """Cuts out a part of a picture, and repeats its border by so many pixels on each side."""
    left, top, right, bottom = part
    before_x, before_y, after_x, after_y = beyond
    width, height = right - left, bottom - top
    if not isinstance(image_rgb, Image.Image):
        image_rgb = Image.fromarray(image_rgb[top:bottom, left:right])
        if not any(beyond):
            return image_rgb
        left = top = 0
    size = before_x + width + after_x, before_y + height + after_y
    region = Image.new("RGB", size, None)  # every pixel comes from below
    region.paste(image_rgb, (before_x - left, before_y - top))
    end_x, end_y = before_x + width, before_y + height
    for x, first, last in ((before_x, 0, before_x), (end_x - 1, end_x, size[0])):
        if first < last:
            edge = region.crop((x, 0, x + 1, size[1]))
            region.paste(edge.resize((last - first, size[1]), _REPEAT), (first, 0))
    for y, first, last in ((before_y, 0, before_y), (end_y - 1, end_y, size[1])):
        if first < last:
            edge = region.crop((0, y, size[0], y + 1))
            region.paste(edge.resize((size[0], last - first), _REPEAT), (0, first))
    return region


def normalize(faces: U8 | F32, preprocessing: Preprocessing) -> F32:
    """Turns cropped faces into a model's input.

    Args:
        faces: uint8 (N, S, S, C), or float on the same 0..255 scale.
        preprocessing: The normalisation.

    Returns:
        float32 (N, C, S, S), contiguous.

    Raises:
        InputError: If the number of channels is not that of the preprocessing.
    """
    if faces.ndim != 4 or faces.shape[3] != preprocessing.channels:
        raise InputError(f"expected faces (N, S, S, {preprocessing.channels}); got {faces.shape}.")
    x = np.array(faces.transpose(0, 3, 1, 2), np.float32, order="C")  # a copy: it is changed
    if preprocessing.normalization == "per_image":
        mean = x.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float32)
        x -= mean
        std = np.sqrt(np.mean(x * x, axis=(1, 2, 3), keepdims=True, dtype=np.float32))
        x /= std + np.float32(preprocessing.epsilon)
        return x
    scale = 1.0 / (255.0 * np.asarray(preprocessing.std, dtype=np.float32))
    shift = np.asarray(preprocessing.mean, dtype=np.float32) * 255.0
    x -= shift.reshape(1, -1, 1, 1)
    x *= scale.reshape(1, -1, 1, 1)
    return x


def to_batch(
    image_rgb: U8, boxes_xyxy: Floats | Sequence[Sequence[float]], preprocessing: Preprocessing
) -> F32:
    """Crops and normalises: a picture and N boxes become float32 (N, C, S, S).

    Raises:
        InputError: See :func:`crop_faces`.

    >>> import numpy as np
    >>> picture = np.zeros((60, 80, 3), np.uint8)
    >>> to_batch(picture, [[10, 10, 50, 50]], Preprocessing(size=48)).shape
    (1, 1, 48, 48)
    """
    return normalize(crop_faces(image_rgb, boxes_xyxy, preprocessing), preprocessing)
