"""One file that holds everything training needs: encoded images and their labels."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: Sources of images, in the order of ``Pack.source``.
SOURCES = ("fc", "sht_b", "sht_a", "mask", "catdog", "texture", "portraits", "animals")
#: ``Pack.target`` of a region that is neither a face nor background.
IGNORE = -1.0
#: Side of the ready-cropped faces, in pixels.
CROP = 48


@dataclass(frozen=True)
class Pack:
    """Images with labelled regions, and ready-cropped gray faces.

    I images with M regions in all, F faces.

    Args:
        encoded: uint8, the image files one after another.
        offsets: int64 (I + 1,), where each begins.
        source: int8 (I,), index into ``SOURCES``.
        valid: bool (I,), kept aside.
        rows: int64 (I + 1,), where the regions of each image begin.
        boxes: float32 (M, 4), corners in pixels.
        target: float32 (M,), how certain it is that the region is a face, 0..1, or ``IGNORE``.
        points: float32 (M, 5, 2), landmarks in pixels; NaN where unknown.
        faces: uint8 (F, 48, 48), gray.
        face_boxes: float32 (F, 4), in pixels of the 48.
        face_points: float32 (F, 5, 2), likewise; NaN where unknown.
    """

    encoded: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    source: NDArray[np.int8]
    valid: NDArray[np.bool_]
    rows: NDArray[np.int64]
    boxes: NDArray[np.float32]
    target: NDArray[np.float32]
    points: NDArray[np.float32]
    faces: NDArray[np.uint8]
    face_boxes: NDArray[np.float32]
    face_points: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.source)

    def regions(self, index: int) -> slice:
        """Returns the rows of an image's regions."""
        return slice(int(self.rows[index]), int(self.rows[index + 1]))

    def image(self, index: int) -> NDArray[np.uint8]:
        """Decodes one image to uint8 RGB (H, W, 3)."""
        data = self.encoded[self.offsets[index] : self.offsets[index + 1]].tobytes()
        return decode_rgb(data)

    def images(self, indices: NDArray[np.intp]) -> list[NDArray[np.uint8]]:
        """Decodes several images on all cores."""
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return list(threads.map(self.image, indices.tolist()))


def decode_rgb(data: bytes) -> NDArray[np.uint8]:
    """Decodes an image file to uint8 RGB (H, W, 3)."""
    try:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except UnidentifiedImageError:  # Pillow before 11.3 reads no AVIF
        import cv2

        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise
        return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)


def save_pack(path: Path, pack: Pack) -> None:
    """Writes the pack whole or not at all; the faces are stored as one compressed sheet."""
    values = {field.name: getattr(pack, field.name) for field in fields(pack)}
    faces = values.pop("faces")
    columns = 64
    count = -(-len(faces) // columns) * columns
    sheet = np.zeros((count, CROP, CROP), np.uint8)
    sheet[: len(faces)] = faces
    sheet = sheet.reshape(-1, columns, CROP, CROP).transpose(0, 2, 1, 3).reshape(-1, columns * CROP)
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, "WEBP", quality=80)
    values["face_sheet"] = np.frombuffer(stream.getvalue(), np.uint8)
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, **values)
    temporary.replace(path)


def load_pack(path: Path) -> Pack:
    """Reads what :func:`save_pack` wrote."""
    with np.load(path) as file:
        values = {name: file[name] for name in file.files}
    sheet = decode_rgb(values.pop("face_sheet").tobytes())[..., 0]
    faces = sheet.reshape(-1, CROP, sheet.shape[1] // CROP, CROP).transpose(0, 2, 1, 3)
    faces = np.ascontiguousarray(faces.reshape(-1, CROP, CROP)[: len(values["face_boxes"])])
    return Pack(faces=faces, **values)
