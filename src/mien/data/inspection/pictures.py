"""Small pictures as data URLs, so that a page needs no other file."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.errors import MienError
from mien.images import decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.data.stores import ImageStore


def data_url(picture: Image.Image, *, quality: int = 84) -> str:
    """Returns a picture as ``data:image/jpeg;base64,...``."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def load_small(images: ImageStore, index: int, side: int) -> Image.Image | None:
    """Returns a picture that fits a square of ``side`` pixels, None if it cannot be read."""
    try:
        picture = Image.fromarray(decode(images.read(index)))
    except MienError:
        return None
    if max(picture.size) > side:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    red, green, blue = picture.split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else picture


def small_url(images: ImageStore, index: int, side: int = 96) -> str:
    """Returns a small picture as a data URL, empty if it cannot be read."""
    picture = load_small(images, index, side)
    return "" if picture is None else data_url(picture)


def sheet_url(
    images: ImageStore, indices: Sequence[int], *, columns: int, side: int = 56, gap: int = 2
) -> str:
    """Returns pictures laid out in rows as one data URL, empty if none can be read.

    Args:
        images: N pictures.
        indices: Which to show.
        columns: Pictures a row.
        side: Pixels that each fills, cut to the centred square.
        gap: Pixels between them.
    """
    faces = []
    for index in indices:
        picture = load_small(images, index, 4 * side)
        if picture is not None:
            least = min(picture.size)
            left, top = (picture.width - least) / 2, (picture.height - least) / 2
            box = (left, top, left + least, top + least)
            picture = picture.convert("RGB")
            faces.append(picture.resize((side, side), Image.Resampling.BICUBIC, box=box))
    if not faces:
        return ""
    columns = min(columns, len(faces))
    rows = -(-len(faces) // columns)
    step = side + gap
    sheet = Image.new("RGB", (columns * step - gap, rows * step - gap), (128, 128, 128))
    for at, face in enumerate(faces):
        sheet.paste(face, (at % columns * step, at // columns * step))
    return data_url(sheet, quality=80)


def array_url(gray: NDArray[np.floating]) -> str:
    """Returns a gray picture (H, W) of 0..255 as a data URL."""
    return data_url(Image.fromarray(np.clip(gray, 0, 255).astype(np.uint8)), quality=92)
