"""All photographs in the memory of one device, each at four sizes, to be sampled by the million.

A pixel is one 32-bit integer: red, green, blue, and whether it lies in a region to ignore. So one
gather fetches everything there is to know about it, and what happens to the image happens to the
regions to ignore as well.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from research.detector.pack import IGNORE, Pack
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = 4


@dataclass(frozen=True)
class Bank:
    """Images and their labelled regions on a device.

    I images, M regions, L levels: full size, half, a quarter, an eighth.

    Args:
        pixels: int32, every image and level one after another, by rows.
        base: int64 (I, L), where each begins.
        size: int64 (I, L, 2), width and height.
        source: int64 (I,).
        rows: int64 (I,), first region of each image.
        counts: int64 (I,), how many there are.
        boxes: float32 (M, 4).
        target: float32 (M,).
        points: float32 (M, 5, 2).
        faces: uint8 (F, 48, 48), ready-cropped gray faces.
        face_boxes: float32 (F, 4).
        face_points: float32 (F, 5, 2).
    """

    pixels: Tensor
    base: Tensor
    size: Tensor
    source: Tensor
    rows: Tensor
    counts: Tensor
    boxes: Tensor
    target: Tensor
    points: Tensor
    faces: Tensor
    face_boxes: Tensor
    face_points: Tensor

    @property
    def device(self) -> torch.device:
        """Where everything lies."""
        return self.pixels.device


def build_levels(
    image_rgb: NDArray[np.uint8], ignored: NDArray[np.float32]
) -> list[NDArray[np.int32]]:
    """Returns the image at ``LEVELS`` sizes as packed pixels (H, W).

    Args:
        image_rgb: uint8 (H, W, 3).
        ignored: (N, 4), boxes to ignore; their pixels get the mark.
    """
    height, width = image_rgb.shape[:2]
    image = np.zeros((height, width, 4), np.uint8)
    image[..., :3] = image_rgb
    for x1, y1, x2, y2 in ignored:
        left, top = max(int(np.floor(x1)), 0), max(int(np.floor(y1)), 0)
        image[top : max(int(np.ceil(y2)), 0), left : max(int(np.ceil(x2)), 0), 3] = 127
    levels = []
    # "CMYK" are four plain bytes to Pillow; in "RGBA" the fourth would weigh the others.
    picture = Image.frombuffer("CMYK", (width, height), image, "raw", "CMYK", 0, 1)
    for level in range(LEVELS):
        if level:
            picture = picture.reduce(2)
        levels.append(np.array(picture).view(np.int32)[..., 0])
    return levels


def build_bank(pack: Pack, indices: NDArray[np.intp], device: torch.device) -> Bank:
    """Decodes images of a pack and puts them on a device."""

    def load(index: int) -> list[NDArray[np.int32]]:
        rows = pack.regions(index)
        ignored = pack.boxes[rows][pack.target[rows] == IGNORE]
        return build_levels(pack.image(index), ignored)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        images = list(threads.map(load, indices.tolist()))
    size = np.array([[x.shape[::-1] for x in levels] for levels in images], np.int64)
    area = size.prod(axis=2)
    ends = np.cumsum(area.ravel()).reshape(area.shape)
    pixels = torch.empty(int(ends[-1, -1]), dtype=torch.int32, device=device)
    for levels, begin in zip(images, ends - area, strict=True):
        flat = np.concatenate([x.ravel() for x in levels])
        pixels[int(begin[0]) : int(begin[0]) + len(flat)] = torch.from_numpy(flat).to(device)
    faces = [np.arange(pack.rows[i], pack.rows[i + 1]) for i in indices]
    chosen = np.concatenate(faces)
    chosen = chosen[pack.target[chosen] != IGNORE]
    counts = np.array([(pack.target[rows] != IGNORE).sum() for rows in faces], np.int64)

    def put(values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    return Bank(
        pixels=pixels,
        base=put(ends - area),
        size=put(size),
        source=put(pack.source[indices].astype(np.int64)),
        rows=put(np.cumsum(counts) - counts),
        counts=put(counts),
        boxes=put(pack.boxes[chosen]),
        target=put(pack.target[chosen]),
        points=put(pack.points[chosen]),
        faces=put(pack.faces),
        face_boxes=put(pack.face_boxes),
        face_points=put(pack.face_points),
    )
